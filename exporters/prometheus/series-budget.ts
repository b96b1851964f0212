/** The label that stands for everything that has no series of its own. */
export const otherName = '_other'

/** Who has series of his own: the first come, up to a number, until they go. */
export type SeriesBudget = {
  /** Whether something has, or gets, series of its own. */
  admits(id: string): boolean
  /** It is gone: another one may have its place. */
  release(id: string): void
}

/**
 * Bounds the series of one kind. A host with thousands of containers, or somebody who makes them to blind the
 * monitor, must not make a scrape slow: prom-client renders some 200 series in a millisecond.
 */
export function seriesBudget(max: number): SeriesBudget {
  const own = new Set<string>()
  return {
    admits(id) {
      if (own.has(id)) return true
      if (own.size >= max) return false
      own.add(id)
      return true
    },
    release: (id) => void own.delete(id),
  }
}

/**
 * The sum of totals that come and go: it counts what each has risen by while it was part of it, so that it never
 * falls, which a rate() would take for a restart of the counter.
 */
export function risingSum(): (values: ReadonlyMap<string, number>) => number {
  let sum = 0
  let before: ReadonlyMap<string, number> = new Map()
  return (values) => {
    for (const [id, value] of values) {
      const last = before.get(id)
      if (last !== undefined) sum += value >= last ? value - last : value
    }
    before = values
    return sum
  }
}
