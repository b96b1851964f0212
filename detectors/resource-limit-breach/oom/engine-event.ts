import type { ContainerObservation } from '../../../agent/model/observation.ts'
import { lastResortMs, maxWaiting } from './deadline.ts'
import { diedBy, type Ledger, type Recorded } from './ledger.ts'
import { survived } from './report.ts'

/** Records the engine's `oom` event: it waits for the kill that it belongs to, unless that is known already. */
export function recordEvent(before: Ledger, event: ContainerObservation): Recorded {
  const { awaitedEvents, events, up } = before
  if (awaitedEvents > 0) return [{ ...before, awaitedEvents: awaitedEvents - 1 }, []]
  if (up !== false) return [{ ...before, events: [...events, event].slice(-maxWaiting) }, []]
  if (before.unexplained.length > 0) return explainDeaths(before, [event])
  if (before.isKillKnown) return [before, []]
  // The container died of something else, so it survived this kill.
  const { time, container } = event
  const kills = { time, container, count: 1, memory: before.memory, reportedBy: 'event' as const }
  const victims = { since: before.settledAt }
  return [before, [survived({ ...kills, eventKey: `oom:${container.id}:${time}`, victims })]]
}

/** Matches events that belong to no kill of this run with earlier deaths by SIGKILL. The others belong to no kill. */
export function explainDeaths(before: Ledger, events: readonly ContainerObservation[]): Recorded {
  const [event] = events
  const recent = before.unexplained.filter(
    ({ time }) => event !== undefined && event.time - time <= lastResortMs,
  )
  const explained = recent.slice(0, events.length)
  const unexplained = event === undefined ? before.unexplained : recent.slice(explained.length)
  return [{ ...before, unexplained }, explained.map((death) => diedBy(before, death, 'event'))]
}
