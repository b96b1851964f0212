/**
 * Whether containers are confined as they are configured to be. To be read in this order: `mounts.ts` (what is mounted
 * where), `sandbox.ts` (whose mounts say something), `judge.ts` (what is missing), `look.ts` (one container),
 * `agenda.ts` (when).
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  catchError,
  concat,
  defer,
  exhaustMap,
  from,
  ignoreElements,
  merge,
  type Observable,
  of,
  switchMap,
  tap,
  timer,
} from 'rxjs'
import type { Container, ContainerView } from '../../model/container.ts'
import type { MaskObservation, SourceStatus } from '../../model/observation.ts'
import type { Source } from '../../model/source.ts'
import { agenda, type AgendaOptions } from './schedule.ts'
import { type KernelPaths, type Look, lookAtMasks, type Run } from './look.ts'
import { engineFactsOf, noFacts } from './sandbox.ts'

export type ContainerMasksOptions = Partial<KernelPaths> &
  AgendaOptions & {
    containers: ContainerView
    /** The answer to `docker info`. */
    engineInfo: () => Promise<Readonly<Record<string, unknown>>>
    /** The engine may be another, or configured anew. */
    unsure$: Observable<unknown>
    now: () => number
    tickMs?: number
  }

/** Looks at what hides the host from each container: the races of 2025 leave it open, and nothing else shows it. */
export function containerMasks(options: ContainerMasksOptions): Source {
  return { name: 'container-masks', observe: () => defer(() => looks(options)) }
}

type Seen = MaskObservation | SourceStatus

function looks(options: ContainerMasksOptions): Observable<Seen> {
  const { containers, engineInfo, unsure$, now, tickMs = 250 } = options
  const paths = { procRoot: options.procRoot ?? '/proc', sysRoot: options.sysRoot ?? '/sys' }
  const plan = agenda(options)
  // What was said last of each run, so that what stays as it is is not said again.
  const told = new WeakMap<Run, string>()
  let facts = noFacts
  // Why a container could not be looked at, by its id.
  const refusals = new Map<string, string>()
  let toldReason = ''

  const facts$ = concat(of(undefined), unsure$).pipe(
    switchMap(() => defer(engineInfo).pipe(catchError(() => of(null)))),
    tap((info) => {
      if (info !== null) facts = engineFactsOf(info)
    }),
    ignoreElements(),
  )

  async function* round(): AsyncGenerator<Seen> {
    let sliceEnds = performance.now() + sliceMs
    const running = containers.running()
    for (const { container, run } of plan.due(running, now())) {
      const look = await lookAtMasks(container, run, { facts, paths, now })
      plan.looked(run, now(), look.state !== 'gone' && look.unsettled)
      if (look.state !== 'gone') yield* news(container, run, look)
      if (performance.now() < sliceEnds) continue
      await nextTurn()
      sliceEnds = performance.now() + sliceMs
    }
    forgetEnded(running)
    if (reasonNow() !== toldReason) yield status()
  }

  function* news(container: Container, run: Run, look: Exclude<Look, { state: 'gone' }>): Iterable<Seen> {
    if (look.refused === '') refusals.delete(container.id)
    else refusals.set(container.id, look.refused)
    const seen = observationOf(container, look)
    if (told.get(run) !== keyOf(seen)) yield seen
    told.set(run, keyOf(seen))
  }

  function forgetEnded(running: readonly Container[]): void {
    if (refusals.size === 0) return
    const ids = new Set(running.map(({ id }) => id))
    for (const id of refusals.keys()) if (!ids.has(id)) refusals.delete(id)
  }

  function reasonNow(): string {
    const [first] = refusals.values()
    return first === undefined ? '' : `a container’s first process cannot be looked at: ${first}`
  }

  function observationOf(
    container: Container,
    { state, pid, missing }: Exclude<Look, { state: 'gone' }>,
  ): MaskObservation {
    return { kind: 'masks', time: now(), container, pid, state, missing }
  }

  function status(): SourceStatus {
    toldReason = reasonNow()
    return {
      kind: 'source-status',
      time: now(),
      source: 'container-masks',
      up: true,
      mode: 'mountinfo',
      best: toldReason === '',
      reason: toldReason,
    }
  }

  const rounds$ = timer(0, tickMs).pipe(exhaustMap(() => from(round())))
  return concat(
    defer(() => of(status())),
    merge(facts$, rounds$),
  )
}

// The event loop is shared with everything else the daemon does.
const sliceMs = 5

function keyOf({ state, missing }: MaskObservation): string {
  return JSON.stringify([state, missing])
}
