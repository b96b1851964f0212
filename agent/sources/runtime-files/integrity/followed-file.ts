import {
  concat,
  defer,
  EMPTY,
  exhaustMap,
  groupBy,
  ignoreElements,
  map,
  merge,
  mergeMap,
  type Observable,
  of,
  ReplaySubject,
  Subject,
  timer,
} from 'rxjs'
import type { RuntimeFileObservation } from '../../../model/observation.ts'
import { type KnownFile, knownFile, type KnownFileOptions, type Seen } from './known-file.ts'
import { oneAtATime } from '../../../lib/one-at-a-time.ts'
import type { FileEvent } from '../watch/watch.ts'
import { type AskPackages, type Settled, verifications } from './verify.ts'
import { workBudget } from '../watch/work-budget.ts'
import type { RuntimeFile } from '../paths/runtime-file.ts'

/** A runtime file that is followed from its baseline on. */
export type FollowedFile = Pick<KnownFile, 'path' | 'kind' | 'problem' | 'recognises'> & {
  handle(event: FileEvent): void
  /** Requests a check although there was no event; a thorough one reads the whole file. */
  check(thorough: boolean): void
  /** The first state of the file, to which all changes are relative. */
  baseline(): Observable<Seen>
  changes(): Observable<Seen>
}

/**
 * Whether to compare the file with its package. A process that changes a configuration file while it is watched is
 * seen doing so.
 */
function needsPackageCheck({ file, change, after }: RuntimeFileObservation): boolean {
  return file === 'binary' || (file === 'configuration' && change === 'found' && after !== null)
}

// How long to wait for further events of the same operation.
const WAIT_AFTER_END_MS = 2
const WAIT_WHILE_ONGOING_MS = 50
const WAIT_WHILE_REPORTED_MS = 1000

/** Follows one file: a burst of events leads to one check, and the check to one observation per process. */
export function followFile(
  file: RuntimeFile,
  options: Omit<KnownFileOptions, 'reportImmediately'> & { askPackages: AskPackages },
): FollowedFile {
  const early$ = new Subject<Seen>()
  const known = knownFile(file, { ...options, reportImmediately: (seen) => early$.next(seen) })
  const budget = workBudget()
  const wake$ = new Subject<number>()
  // The file's new state, which is then compared with its package.
  const settled$ = new ReplaySubject<Settled>(1)
  let thorough = true

  const seen$ = defer(() => {
    const isThorough = thorough
    thorough = false
    return known.check(isThorough)
  }).pipe(
    mergeMap((seen) => {
      const last = seen.findLast((one) => one.kind === 'runtime-file' && one.path === known.path)
      if (last?.kind === 'runtime-file' && needsPackageCheck(last))
        settled$.next({ state: last.after, changed: last.change !== 'found' })
      return seen
    }),
  )
  const checkAndPause$ = defer(() => {
    const start = performance.now()
    const pause$ = defer(() => {
      const end = performance.now()
      return timer(budget.spend(end - start, end))
    })
    return concat(seen$, pause$.pipe(ignoreElements()))
  })

  const changed$ = defer(() => merge(known.hasActivity() ? of(WAIT_AFTER_END_MS) : EMPTY, wake$)).pipe(
    // At most one timer of each length runs, however many events arrive.
    groupBy((wait) => wait),
    mergeMap((same$) => same$.pipe(exhaustMap((wait) => timer(wait)))),
    // Waiting is not work and needs no pause.
    oneAtATime(() => concat(defer(known.attributed).pipe(ignoreElements()), checkAndPause$)),
  )
  const verified$ = verifications(known.path, settled$, options.askPackages).pipe(
    map(({ state, package: answer }) => known.verified(state, answer)),
  )

  return {
    path: known.path,
    kind: known.kind,
    problem: () => known.problem(),
    recognises: (found) => known.recognises(found),
    handle(event) {
      thorough = true
      const isReported = known.record(event)
      if (event.complete) wake$.next(WAIT_AFTER_END_MS)
      else wake$.next(isReported ? WAIT_WHILE_REPORTED_MS : WAIT_WHILE_ONGOING_MS)
    },
    check(isThorough) {
      thorough ||= isThorough
      wake$.next(0)
    },
    baseline: () => seen$,
    changes: () => merge(early$, changed$, verified$),
  }
}
