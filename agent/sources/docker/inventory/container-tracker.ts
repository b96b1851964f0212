import type { Container, ContainerLookup } from '../../../model/container.ts'
import type { ContainerAction, ContainerObservation, DockerEvent } from '../../../model/observation.ts'
import type { CallQueue } from '../client/call-queue.ts'
import type { DockerClient } from '../client/client.ts'
import { containerOfEvent, containerOfInspect } from './identity.ts'
import { textOf } from '../../../lib/json-object.ts'
import {
  type Answer,
  type Change,
  change,
  changeOfEvent,
  containerAfter,
  isUp,
  lifecycleActions,
  missedChanges,
  needsInspect,
  type Run,
  runOf,
} from './lifecycle.ts'

export type ContainerTrackerOptions = {
  client: Pick<DockerClient, 'inspectContainer'>
  calls: CallQueue
  emit: (observation: ContainerObservation) => void
  lose: (reason: string) => void
  /** A container was found to be as it is by listing: its execs may have been missed too. */
  onReconciled: (container: Container) => void
  now: () => number
}

/** Knows every container, asks for what events do not tell, and says what happens to each in the order it happened. */
export type ContainerTracker = {
  view: ContainerLookup
  onEvent(event: DockerEvent): void
  /** Compares with what the engine lists; `done` is called when each container was looked at. */
  reconcile(listed: readonly Container[], done: () => void): void
  /** The engine did not answer with a list: a container that is not known is not expected to become known. */
  listingFailed(): void
  /** To be called every few seconds: forgets what is long gone, and asks again what was not answered. */
  tidy(): void
}

export function createContainerTracker(options: ContainerTrackerOptions): ContainerTracker {
  const { client, calls, emit, lose, onReconciled, now } = options
  const tracks = new Map<string, Track>()
  let isListed = false

  function trackOf(container: Container): Track {
    const earlier = tracks.get(container.id)
    if (earlier !== undefined) return earlier
    const track: Track = {
      container,
      told: false,
      toldUp: false,
      reconciled: { start: 0, end: 0 },
      removedAt: null,
      waiting: [],
      asking: false,
      gone: false,
      unanswered: false,
    }
    tracks.set(container.id, track)
    return track
  }

  function enqueue(track: Track, step: Step): void {
    if (track.waiting.length < maxWaiting) track.waiting.push(step)
    else {
      lose('queue-full')
      step.done?.()
    }
    if (!track.asking) advance(track)
  }

  /** Takes the steps of one container one after the other; each that needs an answer stops those behind it. */
  function advance(track: Track): void {
    for (let step = track.waiting.shift(); step !== undefined; step = track.waiting.shift()) {
      const current = step
      if (ask(track, current)) return
      settle(track, current, track.gone ? null : undefined)
    }
  }

  function ask(track: Track, step: Step): boolean {
    if (track.gone || (step.event !== null && !needsInspect(step.action))) return false
    const { id } = track.container
    track.asking = calls.call(
      () => client.inspectContainer(id),
      (reply) => {
        const answer = reply && textOf(reply['Id']) !== id ? undefined : reply
        track.asking = false
        track.gone = answer === null
        track.unanswered = answer === undefined
        settle(track, step, answer)
        advance(track)
      },
    )
    if (!track.asking) {
      track.unanswered = true
      lose('queue-full')
    }
    return track.asking
  }

  function settle(track: Track, step: Step, answer: Answer): void {
    if (track.removedAt === null) {
      if (step.event === null) settleReconcile(track, answer)
      else settleEvent(track, step.event, step.action, answer)
    }
    step.done?.()
  }

  function settleEvent(track: Track, event: DockerEvent, action: ContainerAction, answer: Answer): void {
    const before = track.container
    track.container = containerAfter(before, event, action, answer)
    if (!wasTold(track, action, event.time)) tell(track, changeOfEvent(event, action, before, answer))
  }

  function settleReconcile(track: Track, answer: Answer): void {
    if (answer === null) return settleVanished(track)
    const before = track.container
    if (answer !== undefined) track.container = containerOfInspect(answer)
    const told = track.told ? missedChanges(before, track.toldUp, answer, now()) : [change('seen', now())]
    for (const missed of told) tell(track, missed)
    if (told.length > 0) track.reconciled = runOf(answer)
    onReconciled(track.container)
  }

  function settleVanished(track: Track): void {
    track.container = { ...track.container, state: 'dead' }
    if (track.told) tell(track, change('removed', now()))
    else tracks.delete(track.container.id)
  }

  function tell(track: Track, told: Change): void {
    if (told.action === 'removed') {
      if (track.toldUp) tell(track, change('died', told.time))
      track.removedAt = now()
    }
    if (told.action === 'started') track.toldUp = true
    if (told.action === 'died') track.toldUp = false
    if (told.action === 'seen') track.toldUp = isUp(track.container)
    track.told = true
    emit({ kind: 'container', container: track.container, ...told })
  }

  function known(): Track[] {
    return [...tracks.values()].filter(({ removedAt }) => removedAt === null)
  }

  return {
    view: {
      get: (id) => tracks.get(id)?.container,
      all: () => known().map(({ container }) => container),
      running: () =>
        // The answer to a question about an earlier event may be ahead of the start that is still to be reported: who
        // samples a container then would take what it counted since as its baseline.
        known()
          .filter(({ container, toldUp }) => toldUp && isUp(container))
          .map(({ container }) => container),
      isPending(id) {
        const track = tracks.get(id)
        if (track?.container.details) return false
        return !isListed || track?.asking === true || (track?.waiting.length ?? 0) > 0
      },
    },
    onEvent(event) {
      const action = event.type === 'container' ? lifecycleActions.get(event.action) : undefined
      if (action === undefined || event.actorId === '') return
      enqueue(trackOf(containerOfEvent(event)), { event, action })
    },
    reconcile(listed, done) {
      const listedTracks = listed.map(trackOf)
      isListed = true
      const looked = new Set(
        [...listedTracks, ...tracks.values()].filter((track) => track.removedAt === null),
      )
      let left = looked.size + 1
      const oneDone = (): void => {
        left -= 1
        if (left === 0) done()
      }
      for (const track of looked) enqueue(track, { event: null, done: oneDone })
      oneDone()
    },
    listingFailed: () => void (isListed = true),
    tidy() {
      const longGone = now() - keepRemovedMs
      for (const [id, track] of tracks) {
        if (track.removedAt !== null && track.removedAt < longGone) tracks.delete(id)
        else if (track.unanswered && !track.asking) enqueue(track, { event: null })
      }
    },
  }
}

type Track = {
  container: Container
  /** Whether anything was said of it, and whether the last word was that it runs. */
  told: boolean
  toldUp: boolean
  /** The run of which a comparison with the engine told: events that led to it come too late. */
  reconciled: Run
  removedAt: number | null
  waiting: Step[]
  asking: boolean
  /** The last answer was that there is no such container, or that there was no answer. */
  gone: boolean
  unanswered: boolean
}

/** Something to be said of a container: an event, or (null) a comparison with the engine. */
type Step =
  | { event: DockerEvent; action: ContainerAction; done?: undefined }
  | { event: null; done?: () => void }

/** Whether a comparison with the engine has told already what this late event says. */
function wasTold({ told, toldUp, reconciled }: Track, action: ContainerAction, time: number): boolean {
  if (action === 'created') return told
  if (action === 'started') return toldUp && time < reconciled.start + eventDelayMs
  if (action === 'died') return time < Math.max(reconciled.start, reconciled.end + eventDelayMs)
  return false
}

// The engine sets StartedAt and FinishedAt some milliseconds before it publishes the event.
const eventDelayMs = 1_000

// For events that come late, and for the processes that outlive their container's end in the kernel's events.
const keepRemovedMs = 60_000

// Steps of one container; an engine that answers at all is asked within seconds.
const maxWaiting = 256
