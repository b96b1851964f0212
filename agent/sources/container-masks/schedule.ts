import type { Container } from '../../model/container.ts'
import type { Run } from './look.ts'

/** When which container is to be looked at: at once, about a second after it was first seen, then now and then. */
export type Agenda = {
  /** The containers whose turn it is; those that do not run any more are forgotten. */
  due(running: readonly Container[], time: number): { container: Container; run: Run }[]
  looked(run: Run, time: number, unsettled: boolean): void
  readonly size: number
}

/** Times in milliseconds. */
export type AgendaOptions = { secondMs?: number; intervalMs?: number; soonMs?: number }

/**
 * One entry for each running container and no timer of its own, so that thousands of them cost a walk over a map. A
 * second look comes soon: what a start has raced is in place by then.
 */
export function agenda({ secondMs = 1_000, intervalMs = 300_000, soonMs = 250 }: AgendaOptions = {}): Agenda {
  const entries = new Map<string, { run: Run; next: number; looks: number }>()
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
          : { run: { id, startedAt: details.startedAt, absent: null }, next: time, looks: 0 }
        if (!isSame) entries.set(id, entry)
        return entry.next <= time ? [{ container, run: entry.run }] : []
      })
    },
    looked(run, time, unsettled) {
      const entry = entries.get(run.id)
      if (entry?.run !== run) return
      entry.looks++
      entry.next = time + (unsettled ? soonMs : entry.looks === 1 ? secondMs : intervalMs)
    },
    get size() {
      return entries.size
    },
  }
}
