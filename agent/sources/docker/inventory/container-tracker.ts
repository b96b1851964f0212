import { BoundedMap } from '../../../lib/bounded-map.ts'
import { type Container, type ContainerLookup, unknownContainer } from '../../../model/container.ts'
import type { ContainerAction, ContainerObservation, DockerEvent } from '../../../model/observation.ts'
import type { CallQueue } from '../client/call-queue.ts'
import type { DockerClient } from '../client/client.ts'
import { containerOfEvent, containerOfInspect } from './identity.ts'
import { lateContainers } from './late-containers.ts'
import { textOf } from '../../../lib/json-object.ts'
import { createTaskNames } from './task-names.ts'
import { hasOpenInspect, newTrack, type Step, type Track } from './track.ts'
import {
  type InspectResult,
  type Change,
  change,
  changeOfEvent,
  containerAfter,
  isUp,
  lifecycleActions,
  missedChanges,
  needsInspect,
  runOf,
  wasReported,
} from './lifecycle.ts'

export type ContainerTrackerOptions = {
  client: Pick<DockerClient, 'inspectContainer'>
  calls: CallQueue
  emit: (observation: ContainerObservation) => void
  lose: (reason: string) => void
  /** A container was compared with the engine's list; its execs may have been missed too. */
  onReconciled: (container: Container) => void
  now: () => number
}

/** Tracks every container, inspects what events do not contain, and reports each container's changes in order. */
export type ContainerTracker = {
  view: ContainerLookup
  onEvent(event: DockerEvent): void
  /** Compares with the engine's list; calls `done` when every container was checked. */
  reconcile(listed: readonly Container[], done: () => void): void
  /** The engine returned no list: do not wait for unknown containers to become known. */
  listingFailed(): void
  /** Call it every few seconds: forgets containers removed a while ago, and repeats inspects that had no result. */
  tidy(): void
}

export function createContainerTracker(options: ContainerTrackerOptions): ContainerTracker {
  const { client, calls, emit, lose, onReconciled, now } = options
  const tracks = new Map<string, Track>()
  // Listed, and removed before they were inspected: their processes may still have to be named.
  const vanished = new BoundedMap<string, Container>(maxVanished)
  const names = createTaskNames<Track>((track, previousName) => {
    if (track.reported) report(track, { ...change('renamed', now()), previousName })
  })
  const isLate = lateContainers({
    client,
    calls,
    onFound(id, description) {
      // An event may have reported it meanwhile.
      if (!tracks.has(id)) settleReconcile(trackOf(unknownContainer(id, '')), description)
    },
    now,
  })
  let isListed = false

  function trackOf(container: Container): Track {
    const earlier = tracks.get(container.id)
    if (earlier !== undefined) return earlier
    const track = newTrack(container)
    tracks.set(container.id, track)
    return track
  }

  function enqueue(track: Track, step: Step): void {
    if (track.waiting.length < maxWaiting) track.waiting.push(step)
    else {
      lose('queue-full')
      step.done?.()
    }
    if (!track.inspecting) advance(track)
  }

  /** Processes a container's steps in order; a step that needs an inspect blocks those after it. */
  function advance(track: Track): void {
    for (let step = track.waiting.shift(); step !== undefined; step = track.waiting.shift()) {
      const current = step
      if (inspect(track, current)) return
      settle(track, current, track.gone ? null : undefined)
    }
  }

  function inspect(track: Track, step: Step): boolean {
    if (track.gone || (step.event !== null && !needsInspect(step.action))) return false
    const { id } = track.container
    track.inspecting = calls.call(
      () => client.inspectContainer(id),
      (reply) => {
        const result = reply && textOf(reply['Id']) !== id ? undefined : reply
        track.inspecting = false
        track.gone = result === null
        track.unanswered = result === undefined
        settle(track, step, result)
        advance(track)
      },
    )
    if (!track.inspecting) {
      track.unanswered = true
      lose('queue-full')
    }
    return track.inspecting
  }

  function settle(track: Track, step: Step, result: InspectResult): void {
    if (track.removedAt === null) {
      if (step.event === null) settleReconcile(track, result)
      else settleEvent(track, step.event, step.action, result)
    }
    step.done?.()
  }

  function settleEvent(
    track: Track,
    event: DockerEvent,
    action: ContainerAction,
    result: InspectResult,
  ): void {
    const before = track.container
    names.update(track, containerAfter(before, event, action, result))
    if (!wasReported(track, action, event.time)) report(track, changeOfEvent(event, action, before, result))
  }

  function settleReconcile(track: Track, result: InspectResult): void {
    if (result === null) return settleVanished(track)
    const before = track.container
    if (result !== undefined) names.update(track, containerOfInspect(result))
    const changes = track.reported
      ? missedChanges(before, track.reportedUp, result, now())
      : [change('seen', now())]
    for (const missed of changes) report(track, missed)
    if (changes.length > 0) track.reconciled = runOf(result)
    onReconciled(track.container)
  }

  function settleVanished(track: Track): void {
    track.container = { ...track.container, state: 'dead' }
    if (track.reported) return report(track, change('removed', now()))
    forget(track)
    vanished.setNewest(track.container.id, track.container)
  }

  function report(track: Track, latest: Change): void {
    if (latest.action === 'removed') {
      if (track.reportedUp) report(track, change('died', latest.time))
      track.removedAt = now()
      names.forget(track)
    }
    if (latest.action === 'started') track.reportedUp = true
    if (latest.action === 'died') track.reportedUp = false
    if (latest.action === 'seen') track.reportedUp = isUp(track.container)
    track.reported = true
    emit({ kind: 'container', container: track.container, ...latest })
  }

  function forget(track: Track): void {
    names.forget(track)
    tracks.delete(track.container.id)
  }

  function known(): Track[] {
    return [...tracks.values()].filter(({ removedAt }) => removedAt === null)
  }

  return {
    view: {
      get: (id) => tracks.get(id)?.container ?? vanished.get(id),
      all: () => known().map(({ container }) => container),
      running: () =>
        // The inspect for an earlier event can already show a start that is not reported yet. A sampler of that
        // container would take what the kernel counted since then as its baseline.
        known()
          .filter(({ container, reportedUp }) => reportedUp && isUp(container))
          .map(({ container }) => container),
      isPending(id) {
        const track = tracks.get(id)
        if (track?.container.details) return false
        if (!isListed) return true
        return track === undefined ? isLate(id) : hasOpenInspect(track)
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
      const toCheck = new Set(
        [...listedTracks, ...tracks.values()].filter((track) => track.removedAt === null),
      )
      // Before any is reported, so that all have their names from the start.
      for (const track of toCheck) names.update(track, track.container)
      let pending = toCheck.size + 1
      const oneDone = (): void => {
        pending -= 1
        if (pending === 0) done()
      }
      for (const track of toCheck) enqueue(track, { event: null, done: oneDone })
      oneDone()
    },
    listingFailed: () => void (isListed = true),
    tidy() {
      const forgetBefore = now() - keepRemovedMs
      for (const [id, track] of tracks) {
        if (track.removedAt !== null && track.removedAt < forgetBefore) tracks.delete(id)
        else if (track.unanswered && !track.inspecting) enqueue(track, { event: null })
      }
    },
  }
}

// For late events, and for processes whose kernel events come after the end of their container.
const keepRemovedMs = 60_000

const maxVanished = 1_000

// Steps of one container; an engine that responds handles them within seconds.
const maxWaiting = 256
