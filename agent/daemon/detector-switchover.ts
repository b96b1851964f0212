import { defer, delay, filter, map, mergeMap, type Observable, Subject, takeUntil } from 'rxjs'
import type { Detected } from './detected.ts'

/** One run of a detector. `stopsLast`: the previous run stops at once, without finishing its pending detections. */
export type Run = { detected$: Observable<Detected>; stopsLast: boolean }

/**
 * Replaces a reconfigured detector's run by the next one without gaps or duplicates. The previous run still judges
 * what happened before the switch, for at most `drainMs`, because it may wait for related events. The next run judges
 * what happens after the switch.
 */
export function switchDetector(
  runs$: Observable<Run>,
  now: () => number,
  drainMs: number,
): Observable<Detected> {
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
