import type { EventsLost, SourceName } from '../../../model/observation.ts'
import { eventsLost } from '../../../model/source-reports.ts'

/** Counts what a source missed, and reports it in a few observations, however much it is. */
export type Losses = {
  add(reason: string, count?: number): void
  /** What was counted since the last call. */
  take(time: number): readonly EventsLost[]
}

export function createLosses(source: SourceName): Losses {
  const counts = new Map<string, number>()
  return {
    add: (reason, count = 1) => void counts.set(reason, (counts.get(reason) ?? 0) + count),
    take(time) {
      const lost = [...counts].map(([reason, count]) => eventsLost(source, time, reason, count))
      counts.clear()
      return lost
    },
  }
}
