import {
  concatMap,
  defer,
  distinctUntilChanged,
  EMPTY,
  endWith,
  ignoreElements,
  map,
  merge,
  NEVER,
  type Observable,
  scan,
  share,
  Subject,
  switchMap,
  takeUntil,
  tap,
  timer,
} from 'rxjs'
import type { DockerEvent } from '../../../agent/model/observation.ts'
import { isRunning } from '../container-event.ts'
import { lastResortMs } from './deadline.ts'
import { type OomFact, recordFact, type SigkillRequest } from './facts.ts'
import { emptyLedger, type Recorded } from './ledger.ts'
import type { OomReport } from './report.ts'

/** Reports each OOM kill of one container once: the container survived it, or died of it. */
export function oomKills(facts$: Observable<OomFact>): Observable<OomReport> {
  return defer(() => {
    const deadlines$ = new Subject<'deadline'>()
    const end$ = facts$.pipe(ignoreElements(), endWith('end'))
    const seed: Recorded = [emptyLedger, []]
    const steps$ = merge(facts$, deadlines$.pipe(takeUntil(end$))).pipe(
      scan(([ledger]: Recorded, fact) => recordFact(ledger, fact), seed),
      share(),
    )
    const waits$ = steps$.pipe(
      map(([{ waitingSince }]) => waitingSince),
      distinctUntilChanged(),
      switchMap((since) => (since === null ? EMPTY : timer(lastResortMs))),
      tap(() => deadlines$.next('deadline')),
      ignoreElements(),
      takeUntil(end$),
    )
    return merge(waits$, steps$.pipe(concatMap(([, reports]) => reports)))
  })
}

/** Emits when further facts about the container's kills are impossible: some time after its death. */
export function afterDeath(facts$: Observable<OomFact>): Observable<unknown> {
  return facts$.pipe(
    scan((alive: boolean, fact) => {
      if (fact.kind === 'resources') return true
      return fact.kind === 'container' ? fact.action === 'started' || isRunning(fact) : alive
    }, false),
    distinctUntilChanged((before, now) => before && now),
    switchMap((alive) => (alive ? NEVER : timer(lastResortMs + 1_000))),
  )
}

/** Reads a request to kill the container with SIGKILL; null for any other event. */
export function sigkillRequestOf({
  type,
  action,
  attributes,
  actorId,
  time,
}: DockerEvent): SigkillRequest | null {
  const isSigkill = ['9', 'KILL', 'SIGKILL'].includes(attributes['signal'] ?? '')
  if (type !== 'container' || action !== 'kill' || !isSigkill) return null
  return { kind: 'sigkill-request', time, container: { id: actorId } }
}
