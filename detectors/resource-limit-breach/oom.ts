import { filter, map, merge, mergeMap, NEVER, of, switchMap, timer, type Observable } from 'rxjs'
import type { Detection } from '../../agent/model/finding.ts'
import type { ProcessKilled } from '../../agent/model/observation.ts'
import { isEnd, type Life, type Moment, walk } from './moment.ts'
import { emptyTally, type Kill, tallyKills } from './oom-tally.ts'
import { emptyVerdict, joinWindowMs, judgeKills, type Lapse, lapsesOf } from './oom-verdict.ts'

/**
 * One finding for each kill for want of memory in one container: it lived on, or it died of it. Of processes that
 * were killed, it is to be told of the first ones only.
 */
export function oomKills(signs$: Observable<Moment | ProcessKilled>): Observable<Detection> {
  const kills$ = momentsOf(signs$).pipe(walk(emptyTally, tallyKills), mergeMap(withLapses))
  // Kills come first: an end that follows at once must find the kill it belongs to.
  return merge(kills$, signs$).pipe(walk(emptyVerdict, judgeKills))
}

/** Whether it was the first process of its container. */
export function isFirstProcess({ process, container }: ProcessKilled): boolean {
  return process.pid === container.details?.pid
}

/** Emits once the container has ended for so long that nothing can be said of its death any more. */
export function afterDeath(signs$: Observable<Moment | ProcessKilled>): Observable<unknown> {
  return momentsOf(signs$).pipe(
    filter((moment) => isEnd(moment) || (moment.kind === 'container' && moment.action === 'started')),
    switchMap((moment) => (isEnd(moment) ? timer(joinWindowMs) : NEVER)),
  )
}

function momentsOf(signs$: Observable<Moment | ProcessKilled>): Life {
  return signs$.pipe(filter((sign) => sign.kind !== 'process-killed'))
}

function withLapses(kill: Kill): Observable<Kill | Lapse> {
  const lapses = lapsesOf(kill).map((after) =>
    timer(after).pipe(map(() => ({ kind: 'lapse', kill, after }) as const)),
  )
  return merge(of(kill), ...lapses)
}
