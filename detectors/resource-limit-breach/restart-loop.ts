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
import { type Step, walk } from './moment.ts'

/** So many restarts within a time in milliseconds are a loop, and none for as long is its end. */
export type LoopSettings = { count: number; within: number }

/** No restart has followed one for as long as ends a loop. */
export type Quiet = { action: 'quiet'; after: ContainerObservation }

/** Somebody asked the engine to end the container, or to start it anew. */
export type Asked = { action: 'asked'; time: number; container: { id: string } }

/** What an event says of that; null for others. `stop` comes after the end, `kill` before it. */
export function askedOf({ type, action, actorId, time }: DockerEvent): Asked | null {
  if (type !== 'container' || !['stop', 'kill'].includes(action)) return null
  return { action: 'asked', time, container: { id: actorId } }
}

export type Restarts = {
  firing: boolean
  /** The last ones, each with the exit code that came before it. */
  restarts: readonly { time: number; exitCode: number | null }[]
  /** The end that no start has followed yet. */
  death: ContainerObservation | null
  /** When somebody last asked for an end. */
  askedAt: number
  toldAt: number
}

export const noRestarts: Restarts = {
  firing: false,
  restarts: [],
  death: null,
  askedAt: -Infinity,
  toldAt: 0,
}

/** Says when a container begins to die and start again and again, and when it does so no more. */
export function restartLoop(settings: LoopSettings) {
  return (life$: Observable<ContainerObservation | Asked>): Observable<Detection> => {
    const quiet$ = life$.pipe(
      filter((seen): seen is ContainerObservation => seen.action === 'started'),
      switchMap((after) => timer(settings.within).pipe(map((): Quiet => ({ action: 'quiet', after })))),
      // Of a container that is gone nothing is waited for: where thousands come and go, each would be kept for so long.
      takeUntil(life$.pipe(ignoreElements(), endWith('over'))),
    )
    return merge(life$, quiet$).pipe(walk(noRestarts, judgeRestarts(settings)))
  }
}

/** That a container is removed. The engine may tell of a stop only after that: what nothing follows was the last of it. */
export function restartsAreOver(life$: Observable<ContainerObservation | Asked>): Observable<unknown> {
  return life$.pipe(
    switchMap(({ action }) => {
      if (action === 'removed') return of(action)
      return action === 'asked' ? timer(followsWithinMs) : NEVER
    }),
  )
}

// Longer than any engine waits for a container to obey, unless it was told to.
const followsWithinMs = 600_000

// The engine's own back-off makes ten restarts in five minutes; somebody's script may make thousands.
const maxRestarts = 100
const updateEveryMs = 60_000

/** A restart is a start after an end: with a restart policy the engine tells of both and of no `restart`. */
export function judgeRestarts(
  settings: LoopSettings,
): Step<Restarts, ContainerObservation | Asked | Quiet, Detection> {
  return (before, input) => {
    switch (input.action) {
      case 'died':
        return [{ ...before, death: input }, []]
      case 'asked':
        return [{ ...before, askedAt: input.time }, []]
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

// From the signal to the end of what obeys it, or of what nobody can disobey.
const obeysWithinMs = 2_000

/** Whether the container ended because somebody wanted it to: then it is no loop when it starts again. */
function isDeliberate({ death, askedAt }: Restarts): boolean {
  return death !== null && askedAt >= death.time - obeysWithinMs
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
  const isDue = firing && (!before.firing || time - before.toldAt >= updateEveryMs)
  if (!isDue) return [{ ...before, restarts, firing, death: null }, []]
  const codes = restarts.map((restart) => restart.exitCode)
  const detection: Detection = {
    rule: 'restart-loop',
    state: 'firing',
    time,
    container,
    summary: `${container.name} restarted ${codes.length} times within ${inWords(settings.within)}, the last time after exit code ${codes.at(-1) ?? 'unknown'}`,
    subject: [],
    evidence: {
      restarts: codes.length,
      within_seconds: settings.within / 1000,
      exit_codes: codes,
      restart_count: container.details?.restartCount,
    },
  }
  return [{ ...before, firing, restarts, death: null, toldAt: time }, [detection]]
}

function ended(end: ContainerObservation | Quiet, { within }: LoopSettings): Detection {
  const { container, time } = end.action === 'quiet' ? end.after : end
  return {
    rule: 'restart-loop',
    state: 'resolved',
    time: end.action === 'quiet' ? time + within : time,
    container,
    summary:
      end.action === 'quiet'
        ? `${container.name} has not restarted for ${inWords(within)}`
        : `${container.name} was removed`,
    subject: [],
    evidence: {},
  }
}

function inWords(ms: number): string {
  return ms % 60_000 === 0 ? `${ms / 60_000} min` : `${ms / 1000} s`
}
