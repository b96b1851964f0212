import { BoundedMap } from '../../agent/lib/bounded-map.ts'

/**
 * Counters by label set, where several containers can have the same labels: one after another, or for a moment at the
 * same time. A total is the sum of their increases and never falls; rate() would treat a decrease as a counter reset.
 */
export type LabelTotals = {
  /** A container gets these labels; everything it counted before is added. */
  join(key: string, counted: readonly number[]): void
  add(key: string, counter: number, increase: number): void
  /**
   * A container changes its labels. The increases that were counted under the old ones are not counted again, but the
   * total is never below the container's own.
   */
  move(from: string, to: string, counted: readonly number[]): void
  /** A container's series was removed; its increases remain counted. */
  leave(key: string): void
  value(key: string, counter: number): number
}

/** `maxPast`: how many label sets are remembered after their last container has left. */
export function labelTotals(maxPast: number): LabelTotals {
  const present = new Map<string, Total>()
  const past = new BoundedMap<string, Total>(maxPast)

  function enter(key: string): Total {
    const total = present.get(key) ?? past.get(key) ?? { values: [], containers: 0 }
    past.delete(key)
    present.set(key, total)
    total.containers += 1
    return total
  }

  function leave(key: string): void {
    const total = present.get(key)
    if (total === undefined) return
    total.containers -= 1
    if (total.containers > 0) return
    present.delete(key)
    past.setNewest(key, total)
  }

  return {
    join(key, counted) {
      const { values } = enter(key)
      for (const [counter, own] of counted.entries()) values[counter] = (values[counter] ?? 0) + own
    },
    add(key, counter, increase) {
      const values = present.get(key)?.values
      if (values !== undefined) values[counter] = (values[counter] ?? 0) + increase
    },
    move(from, to, counted) {
      leave(from)
      const { values } = enter(to)
      for (const [counter, own] of counted.entries()) values[counter] = Math.max(values[counter] ?? 0, own)
    },
    leave,
    value: (key, counter) => (present.get(key) ?? past.get(key))?.values[counter] ?? 0,
  }
}

type Total = { values: number[]; containers: number }
