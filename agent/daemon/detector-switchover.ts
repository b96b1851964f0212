import { defer, delay, filter, map, mergeMap, type Observable, Subject, takeUntil } from 'rxjs'
import type { Detected } from './detected.ts'

/** One run of a detector after the other; `stopAtOnce` where it shall not even end what it has begun. */
export type Run = { detected$: Observable<Detected>; stopsLast: boolean }

/**
 * Lets a detector that is configured anew take over from its last run without a gap and without a double: the last run
 * still judges what happened before, for as long as it may have to wait for what belongs to it, and the next judges
 * what happens from then on.
 */
export function handOver(runs$: Observable<Run>, now: () => number, drainMs: number): Observable<Detected> {
  return defer(() => {
    let last: { until: number; ended$: Subject<boolean> } | undefined
    return runs$.pipe(
      map(({ detected$, stopsLast }) => {
        const from = last === undefined ? -Infinity : now()
        if (last !== undefined) {
          last.until = from
          last.ended$.next(stopsLast)
        }
        const mine = { until: Infinity, ended$: new Subject<boolean>() }
        last = mine
        const drained$ = mine.ended$.pipe(
          filter((isNow) => !isNow),
          delay(drainMs),
        )
        return detected$.pipe(
          filter(({ detection: { time } }) => time >= from && time < mine.until),
          takeUntil(mine.ended$.pipe(filter(Boolean))),
          takeUntil(drained$),
        )
      }),
      mergeMap((detected$) => detected$),
    )
  })
}
