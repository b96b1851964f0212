/** The label value that aggregates everything without its own series. */
export const otherName = '_other'

/** Decides what gets its own series: first come, first served, up to a limit. */
export type SeriesBudget = {
  /** Whether the ID has or gets its own series. */
  admits(id: string): boolean
  /** Frees the place of an ID that no longer exists. */
  release(id: string): void
}

/**
 * Bounds the number of series of one kind. A host with thousands of containers, or an attacker who creates them to
 * blind the monitor, must not slow down scrapes: prom-client renders about 200 series per millisecond.
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
 * The sum of counters that appear and disappear. It adds up the increase of each while it is present, so that the
 * sum never falls; rate() would treat a decrease as a counter reset.
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
