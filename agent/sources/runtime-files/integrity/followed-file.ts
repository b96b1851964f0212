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
import type { Sighting } from '../watch/watch.ts'
import { type AskPackages, type Settled, verifications } from './verify.ts'
import { workBudget } from '../watch/work-budget.ts'
import type { RuntimeFile } from '../paths/runtime-file.ts'

/** A runtime file from its baseline on. */
export type FollowedFile = Pick<KnownFile, 'path' | 'kind' | 'problem' | 'recognises'> & {
  see(sighting: Sighting): void
  /** Asks for a look though nothing was seen; a thorough one reads the whole file. */
  check(thorough: boolean): void
  /** What all changes are counted from. */
  baseline(): Observable<Seen>
  changes(): Observable<Seen>
}

/** Whether it is to be asked for what its package says: who changes a configuration while it is watched is seen to do it. */
function isPacked({ file, change, after }: RuntimeFileObservation): boolean {
  return file === 'binary' || (file === 'configuration' && change === 'found' && after !== null)
}

// How long to wait for what belongs to the same act, milliseconds.
const waitAfterEnd = 2
const waitWhileOngoing = 50
const waitWhileReported = 1000

/** Follows one file: what is seen of it in one go leads to one look, and that to an observation per process. */
export function followFile(
  file: RuntimeFile,
  options: Omit<KnownFileOptions, 'tellAtOnce'> & { askPackages: AskPackages },
): FollowedFile {
  const early$ = new Subject<Seen>()
  const known = knownFile(file, { ...options, tellAtOnce: (seen) => early$.next(seen) })
  const budget = workBudget()
  const wake$ = new Subject<number>()
  // What it has become: it is then compared with its package.
  const settled$ = new ReplaySubject<Settled>(1)
  let thorough = true

  const seen$ = defer(() => {
    const isThorough = thorough
    thorough = false
    return known.look(isThorough)
  }).pipe(
    mergeMap((seen) => {
      const last = seen.findLast((one) => one.kind === 'runtime-file' && one.path === known.path)
      if (last?.kind === 'runtime-file' && isPacked(last))
        settled$.next({ state: last.after, changed: last.change !== 'found' })
      return seen
    }),
  )
  const lookAndRest$ = defer(() => {
    const begin = performance.now()
    const rest$ = defer(() => {
      const end = performance.now()
      return timer(budget.spend(end - begin, end))
    })
    return concat(seen$, rest$.pipe(ignoreElements()))
  })

  const changed$ = defer(() => merge(known.hasNews() ? of(waitAfterEnd) : EMPTY, wake$)).pipe(
    // At most one timer of each length runs, at whatever rate events come.
    groupBy((wait) => wait),
    mergeMap((same$) => same$.pipe(exhaustMap((wait) => timer(wait)))),
    // To wait is no work, and nothing to rest from.
    oneAtATime(() => concat(defer(known.settled).pipe(ignoreElements()), lookAndRest$)),
  )
  const verified$ = verifications(known.path, settled$, options.askPackages).pipe(
    map(({ state, package: answer }) => known.verified(state, answer)),
  )

  return {
    path: known.path,
    kind: known.kind,
    problem: () => known.problem(),
    recognises: (found) => known.recognises(found),
    see(sighting) {
      thorough = true
      const isReported = known.note(sighting)
      if (sighting.complete) wake$.next(waitAfterEnd)
      else wake$.next(isReported ? waitWhileReported : waitWhileOngoing)
    },
    check(isThorough) {
      thorough ||= isThorough
      wake$.next(0)
    },
    baseline: () => seen$,
    changes: () => merge(early$, changed$, verified$),
  }
}
