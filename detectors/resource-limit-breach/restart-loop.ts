import {
  endWith,
  filter,
  ignoreElements,
  map,
  merge,
  NEVER,
  type Observable,
  of,
  switchMap,
  takeUntil,
  timer,
} from 'rxjs'
import type { Detection } from '../../agent/model/finding.ts'
import type { ContainerObservation, DockerEvent } from '../../agent/model/observation.ts'
import { scanSteps, type Step } from './container-event.ts'
import { formatSpan } from './time-span.ts'

/** `count` restarts within `within` milliseconds are a loop, which ends after the same time without a restart. */
export type LoopSettings = { count: number; within: number }

/** No restart has followed this start for so long that a loop has ended. */
export type Quiet = { action: 'quiet'; after: ContainerObservation }

/** A client asked the engine to stop or restart the container. */
export type StopRequest = { action: 'stop-request'; time: number; container: { id: string } }

/** Reads a stop request from an engine event; null for other events. `stop` follows the death, `kill` precedes it. */
export function stopRequestOf({ type, action, actorId, time }: DockerEvent): StopRequest | null {
  if (type !== 'container' || !['stop', 'kill'].includes(action)) return null
  return { action: 'stop-request', time, container: { id: actorId } }
}

export type Restarts = {
  firing: boolean
  /** The last restarts, each with the exit code that preceded it. */
  restarts: readonly { time: number; exitCode: number | null }[]
  /** The death that no start has followed yet. */
  death: ContainerObservation | null
  /** When a client last asked to stop the container. */
  requestedAt: number
  reportedAt: number
}

export const noRestarts: Restarts = {
  firing: false,
  restarts: [],
  death: null,
  requestedAt: -Infinity,
  reportedAt: 0,
}

/** Reports when a container starts to die and restart repeatedly, and when that stops. */
export function restartLoop(settings: LoopSettings) {
  return (events$: Observable<ContainerObservation | StopRequest>): Observable<Detection> => {
    const quiet$ = events$.pipe(
      filter((seen): seen is ContainerObservation => seen.action === 'started'),
      switchMap((after) => timer(settings.within).pipe(map((): Quiet => ({ action: 'quiet', after })))),
      // No timer outlives its container: where thousands of containers come and go, each timer would be kept that
      // long.
      takeUntil(events$.pipe(ignoreElements(), endWith('over'))),
    )
    return merge(events$, quiet$).pipe(scanSteps(noRestarts, judgeRestarts(settings)))
  }
}

/**
 * Emits when the container is removed. The engine can report a stop request after the removal, so it also emits when
 * nothing has followed a stop request for long enough.
 */
export function restartsAreOver(
  events$: Observable<ContainerObservation | StopRequest>,
): Observable<unknown> {
  return events$.pipe(
    switchMap(({ action }) => {
      if (action === 'removed') return of(action)
      return action === 'stop-request' ? timer(followsWithinMs) : NEVER
    }),
  )
}

// Longer than any engine waits for a container to stop, unless it is configured to.
const followsWithinMs = 600_000

// The engine's own back-off allows ten restarts in five minutes; a script can cause thousands.
const maxRestarts = 100
const updateEveryMs = 60_000

/** A restart is a start after a death: under a restart policy the engine emits both, but no `restart`. */
export function judgeRestarts(
  settings: LoopSettings,
): Step<Restarts, ContainerObservation | StopRequest | Quiet, Detection> {
  return (before, input) => {
    switch (input.action) {
      case 'died':
        return [{ ...before, death: input }, []]
      case 'stop-request':
        return [{ ...before, requestedAt: input.time }, []]
      case 'started':
        if (isDeliberate(before)) return [{ ...before, death: null }, []]
        return before.death === null ? [before, []] : judgeRestart(before, before.death, input, settings)
      case 'quiet':
      case 'removed':
        return [noRestarts, before.firing ? [ended(input, settings)] : []]
      default:
        return [before, []]
    }
  }
}

// The longest time from the signal to the death of a process that obeys it or is killed by SIGKILL.
const obeysWithinMs = 2_000

/** Whether a client asked to stop the container: then the next start is not part of a loop. */
function isDeliberate({ death, requestedAt }: Restarts): boolean {
  return death !== null && requestedAt >= death.time - obeysWithinMs
}

function judgeRestart(
  before: Restarts,
  { exitCode }: ContainerObservation,
  start: ContainerObservation,
  settings: LoopSettings,
): readonly [Restarts, Detection[]] {
  const { time, container } = start
  const recent = before.restarts.filter((restart) => restart.time > time - settings.within)
  const restarts = [...recent, { time, exitCode }].slice(-maxRestarts)
  const firing = before.firing || restarts.length >= settings.count
  const isDue = firing && (!before.firing || time - before.reportedAt >= updateEveryMs)
  if (!isDue) return [{ ...before, restarts, firing, death: null }, []]
  const codes = restarts.map((restart) => restart.exitCode)
  const detection: Detection = {
    rule: 'restart-loop',
    state: 'firing',
    time,
    container,
    summary: `${container.name}: restarted ${codes.length} times within ${formatSpan(settings.within)} (last exit code ${codes.at(-1) ?? 'unknown'})`,
    subject: [],
    evidence: {
      restarts: codes.length,
      within_seconds: settings.within / 1000,
      exit_codes: codes,
      restart_count: container.details?.restartCount,
    },
  }
  return [{ ...before, firing, restarts, death: null, reportedAt: time }, [detection]]
}

function ended(end: ContainerObservation | Quiet, { within }: LoopSettings): Detection {
  const { container, time } = end.action === 'quiet' ? end.after : end
  return {
    rule: 'restart-loop',
    state: 'resolved',
    time: end.action === 'quiet' ? time + within : time,
    container,
    summary: end.action === 'quiet' ? `no restart for ${formatSpan(within)}` : 'the container was removed',
    subject: [],
    evidence: {},
  }
}
