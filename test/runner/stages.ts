/** Times the stages of a run. */
export function stages(): {
  run: <T>(name: string, work: () => Promise<T>) => Promise<T>
  /** A readable table with one line per stage. */
  table: () => string
} {
  const times: { name: string; ms: number }[] = []
  const begin = performance.now()
  return {
    async run(name, work) {
      const start = performance.now()
      try {
        return await work()
      } finally {
        times.push({ name, ms: performance.now() - start })
      }
    },
    table: () =>
      [...times, { name: 'total', ms: performance.now() - begin }]
        .map(({ name, ms }) => `${name.padEnd(40)} ${minutes(ms)}`)
        .join('\n'),
  }
}

/** Formats a duration like `1:05`. */
export function minutes(ms: number): string {
  const seconds = Math.round(ms / 1000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}
