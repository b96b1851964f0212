import { filter, map, merge, mergeMap, NEVER, of, switchMap, timer, type Observable } from 'rxjs'
import type { Detection } from '../../agent/model/finding.ts'
import { isEnd, type Life, walk } from './moment.ts'
import { emptyTally, type Kill, tallyKills } from './oom-tally.ts'
import { emptyVerdict, joinWindowMs, judgeKills, type Lapse, waitOf } from './oom-verdict.ts'

/** One finding for each kill for want of memory in one container: it lived on, or it died of it. */
export function oomKills(life$: Life): Observable<Detection> {
  const kills$ = life$.pipe(walk(emptyTally, tallyKills), mergeMap(withLapse))
  // Kills come first: an end that follows at once must find the kill it belongs to.
  return merge(kills$, life$).pipe(walk(emptyVerdict, judgeKills))
}

/** Emits once the container has ended for so long that nothing can be said of its death any more. */
export function afterDeath(life$: Life): Observable<unknown> {
  return life$.pipe(
    filter((moment) => isEnd(moment) || (moment.kind === 'container' && moment.action === 'started')),
    switchMap((moment) => (isEnd(moment) ? timer(joinWindowMs) : NEVER)),
  )
}

function withLapse(kill: Kill): Observable<Kill | Lapse> {
  return merge(of(kill), timer(waitOf(kill)).pipe(map(() => ({ kind: 'lapse', kill }) as const)))
}
