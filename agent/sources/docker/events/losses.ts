import type { EventsLost, SourceName } from '../../../model/observation.ts'

/** Counts what a source did not see, and tells it in a few observations however much it is. */
export type Losses = {
  add(reason: string, count?: number): void
  /** What was counted since it was last asked. */
  take(time: number): readonly EventsLost[]
}

export function createLosses(source: SourceName): Losses {
  const counts = new Map<string, number>()
  return {
    add: (reason, count = 1) => void counts.set(reason, (counts.get(reason) ?? 0) + count),
    take(time) {
      const lost = [...counts].map(([reason, count]): EventsLost => ({
        kind: 'events-lost',
        time,
        source,
        reason,
        count,
      }))
      counts.clear()
      return lost
    },
  }
}
