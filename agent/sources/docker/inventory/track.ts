import type { Container } from '../../../model/container.ts'
import type { ContainerAction, DockerEvent } from '../../../model/observation.ts'
import type { Run } from './lifecycle.ts'

/** What the tracker knows of one container. */
export type Track = {
  container: Container
  /** Whether anything was reported of it, and whether it was last reported as running. */
  reported: boolean
  reportedUp: boolean
  /** The run that a comparison with the engine reported; the events that led to it are late. */
  reconciled: Run
  removedAt: number | null
  waiting: Step[]
  inspecting: boolean
  /** The last inspect found no such container, or had no result. */
  gone: boolean
  unanswered: boolean
}

/** A pending step of a container: an event, or (null) a comparison with the engine. */
export type Step =
  | { event: DockerEvent; action: ContainerAction; done?: undefined }
  | { event: null; done?: () => void }

/** A container of which nothing was reported yet. */
export function newTrack(container: Container): Track {
  return {
    container,
    reported: false,
    reportedUp: false,
    reconciled: { start: 0, end: 0 },
    removedAt: null,
    waiting: [],
    inspecting: false,
    gone: false,
    unanswered: false,
  }
}

/** An inspect that had no result is repeated. */
export function hasOpenInspect({ inspecting, waiting, unanswered, gone }: Track): boolean {
  return inspecting || waiting.length > 0 || (unanswered && !gone)
}
