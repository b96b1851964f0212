import type { DockerEvent } from '../../../model/observation.ts'

export type HeldEventsOptions = {
  /** Whether all is known of the container that an event can be judged by. */
  isKnown: (containerId: string) => boolean
  handle: (event: DockerEvent) => void
  now: () => number
}

/** Keeps the events of a container back, in their order, until it is known: its labels may belie what they say. */
export type HeldEvents = {
  take(event: DockerEvent): void
  /** To be called when a container became known, and some times a second. */
  release(): void
}

export function createHeldEvents({ isKnown, handle, now }: HeldEventsOptions): HeldEvents {
  let held: { event: DockerEvent; since: number }[] = []

  function release(): void {
    if (held.length === 0) return
    const latest = now() - maxHeldMs
    const due: DockerEvent[] = []
    held = held.filter(({ event, since }) => {
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
      if (isKnown(event.actorId) || held.length >= maxHeld) handle(event)
      else held.push({ event, since: now() })
    },
  }
}

const maxHeldMs = 2_000
const maxHeld = 1_000
