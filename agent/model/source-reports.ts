import type { Container } from './container.ts'
import type { EventsLost, SourceName, SourceStatus } from './observation.ts'

/** A working source; without a reason it is in its best mode. */
export function sourceUp(source: SourceName, time: number, mode: string, reason = ''): SourceStatus {
  return { kind: 'source-status', time, source, up: true, mode, best: reason === '', reason }
}

/** A source that observes nothing, and why. */
export function sourceDown(source: SourceName, time: number, reason: string): SourceStatus {
  return { kind: 'source-status', time, source, up: false, mode: '', best: false, reason }
}

/** What a source or a queue lost; of one container only, if it is given. */
export function eventsLost(
  source: SourceName,
  time: number,
  reason: string,
  count = 1,
  container?: Container,
): EventsLost {
  const lost: EventsLost = { kind: 'events-lost', time, source, reason, count }
  return container === undefined ? lost : { ...lost, container }
}
