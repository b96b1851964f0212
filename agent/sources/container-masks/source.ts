/**
 * Checks that containers are confined as configured. Reading order: `mounts.ts` (what is mounted where), `sandbox.ts`
 * (containers whose mounts say nothing about the host), `judge.ts` (what is missing), `check.ts` (checks one
 * container), `schedule.ts` (when to check).
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
import { checkSchedule, type ScheduleOptions } from './schedule.ts'
import { type KernelPaths, type CheckResult, checkMasks, type Run } from './check.ts'
import { engineFactsOf, noFacts } from './sandbox.ts'
import { sourceUp } from '../../model/source-reports.ts'

export type ContainerMasksOptions = Partial<KernelPaths> &
  ScheduleOptions & {
    containers: ContainerView
    /** The answer to `docker info`. */
    engineInfo: () => Promise<Readonly<Record<string, unknown>>>
    /** Emits when the engine may have been replaced or reconfigured. */
    unsure$: Observable<unknown>
    now: () => number
    tickMs?: number
  }

/** Checks the mounts that hide the host from each container: the races of 2025 omit them, and nothing else shows it. */
export function containerMasks(options: ContainerMasksOptions): Source {
  return { name: 'container-masks', observe: () => defer(() => checks(options)) }
}

type Seen = MaskObservation | SourceStatus

function checks(options: ContainerMasksOptions): Observable<Seen> {
  const { containers, engineInfo, unsure$, now, tickMs = 250 } = options
  const paths = { procRoot: options.procRoot ?? '/proc', sysRoot: options.sysRoot ?? '/sys' }
  const schedule = checkSchedule(options)
  // The last observation of each run, so that an unchanged one is not emitted again.
  const reported = new WeakMap<Run, string>()
  let facts = noFacts
  // Why a container could not be checked, by its id.
  const refusals = new Map<string, string>()
  let reportedReason = ''

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
    for (const { container, run } of schedule.due(running, now())) {
      const result = await checkMasks(container, run, { facts, paths, now })
      schedule.checked(run, now(), result.state !== 'gone' && result.unsettled)
      if (result.state !== 'gone') yield* changes(container, run, result)
      if (performance.now() < sliceEnds) continue
      await nextTurn()
      sliceEnds = performance.now() + sliceMs
    }
    forgetEnded(running)
    if (reasonNow() !== reportedReason) yield status()
  }

  function* changes(
    container: Container,
    run: Run,
    result: Exclude<CheckResult, { state: 'gone' }>,
  ): Iterable<Seen> {
    if (result.refused === '') refusals.delete(container.id)
    else refusals.set(container.id, result.refused)
    const seen = observationOf(container, result)
    if (reported.get(run) !== keyOf(seen)) yield seen
    reported.set(run, keyOf(seen))
  }

  function forgetEnded(running: readonly Container[]): void {
    if (refusals.size === 0) return
    const ids = new Set(running.map(({ id }) => id))
    for (const id of refusals.keys()) if (!ids.has(id)) refusals.delete(id)
  }

  function reasonNow(): string {
    const [first] = refusals.values()
    return first === undefined ? '' : `the first process of a container cannot be inspected: ${first}`
  }

  function observationOf(
    container: Container,
    { state, pid, missing }: Exclude<CheckResult, { state: 'gone' }>,
  ): MaskObservation {
    return { kind: 'masks', time: now(), container, pid, state, missing }
  }

  function status(): SourceStatus {
    reportedReason = reasonNow()
    return sourceUp('container-masks', now(), 'mountinfo', reportedReason)
  }

  const rounds$ = timer(0, tickMs).pipe(exhaustMap(() => from(round())))
  return concat(
    defer(() => of(status())),
    merge(facts$, rounds$),
  )
}

// The daemon's other work shares the event loop.
const sliceMs = 5

function keyOf({ state, missing }: MaskObservation): string {
  return JSON.stringify([state, missing])
}
