import type { DockerEvent } from '../../../model/observation.ts'

export type InspectionWaitQueueOptions = {
  /** Whether enough is known of the container to judge its events. */
  isKnown: (containerId: string) => boolean
  handle: (event: DockerEvent) => void
  now: () => number
}

/**
 * Holds back a container's exec events, in order, until the container is inspected: its labels can forge event
 * attributes. Each event may wait the full time, even if the wait of an earlier one has timed out: later events could
 * be forged too.
 */
export type InspectionWaitQueue = {
  take(event: DockerEvent): void
  /** Call it when a container becomes known, and a few times a second. */
  release(): void
}

export function createInspectionWaitQueue({
  isKnown,
  handle,
  now,
}: InspectionWaitQueueOptions): InspectionWaitQueue {
  let waiting: { event: DockerEvent; since: number }[] = []

  function release(): void {
    if (waiting.length === 0) return
    const latest = now() - maxWaitMs
    const due: DockerEvent[] = []
    waiting = waiting.filter(({ event, since }) => {
      const isDue = since <= latest || isKnown(event.actorId)
      if (isDue) due.push(event)
      return !isDue
    })
    for (const event of due) handle(event)
  }

  return {
    release,
    take(event) {
      release()
      if (isKnown(event.actorId) || waiting.length >= maxWaiting) handle(event)
      else waiting.push({ event, since: now() })
    },
  }
}

const maxWaitMs = 2_000
const maxWaiting = 1_000
