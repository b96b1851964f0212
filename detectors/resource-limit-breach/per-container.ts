import { defer, finalize, groupBy, mergeMap, type Observable, Subject, takeUntil } from 'rxjs'
import type { Life, Moment } from './moment.ts'

/**
 * Follows each container by itself until `until` says that its life is over. A bare groupBy whose duration
 * depends on its own group keeps its source subscribed after unsubscription (RxJS 7.8 counts the duration as a
 * subscriber of the group), hence the explicit stop.
 */
export function perContainer<T>(
  moments$: Observable<Moment>,
  until: (life$: Life) => Observable<unknown>,
  follow: (life$: Life) => Observable<T>,
): Observable<T> {
  return defer(() => {
    const stop$ = new Subject<void>()
    return moments$.pipe(
      takeUntil(stop$),
      groupBy(({ container }) => container.id, { duration: until }),
      mergeMap((life$) => follow(life$)),
      finalize(() => stop$.next()),
    )
  })
}
