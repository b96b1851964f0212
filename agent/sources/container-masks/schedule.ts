import type { Container } from '../../model/container.ts'
import type { Run } from './check.ts'

/** When to check each container: at once, about a second after it was first seen, then at intervals. */
export type Schedule = {
  /** The containers that are due. Forgets those that no longer run. */
  due(running: readonly Container[], time: number): { container: Container; run: Run }[]
  checked(run: Run, time: number, unsettled: boolean): void
  readonly size: number
}

/** Times in milliseconds. */
export type ScheduleOptions = { secondMs?: number; intervalMs?: number; soonMs?: number }

/**
 * One entry for each running container and no timers, so that thousands of them cost one pass over a map. The second
 * check comes soon: mounts that a race at the start may have changed are in place by then.
 */
export function checkSchedule({
  secondMs = 1_000,
  intervalMs = 300_000,
  soonMs = 250,
}: ScheduleOptions = {}): Schedule {
  const entries = new Map<string, { run: Run; next: number; checks: number }>()
  return {
    due(running, time) {
      const ids = new Set(running.map(({ id }) => id))
      for (const id of entries.keys()) if (!ids.has(id)) entries.delete(id)
      return running.flatMap((container) => {
        const { id, details } = container
        if (details === null || details.pid === 0) return []
        const known = entries.get(id)
        const isSame = known?.run.startedAt === details.startedAt
        const entry = isSame
          ? known
          : { run: { id, startedAt: details.startedAt, absent: null }, next: time, checks: 0 }
        if (!isSame) entries.set(id, entry)
        return entry.next <= time ? [{ container, run: entry.run }] : []
      })
    },
    checked(run, time, unsettled) {
      const entry = entries.get(run.id)
      if (entry?.run !== run) return
      entry.checks++
      entry.next = time + (unsettled ? soonMs : entry.checks === 1 ? secondMs : intervalMs)
    },
    get size() {
      return entries.size
    },
  }
}
