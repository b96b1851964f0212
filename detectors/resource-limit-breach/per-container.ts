import { defer, finalize, groupBy, mergeMap, type Observable, Subject, takeUntil } from 'rxjs'
import type { Container } from '../../agent/model/container.ts'

/**
 * Follows each container by itself until `until` says that its life is over. A bare groupBy whose duration
 * depends on its own group keeps its source subscribed after unsubscription (RxJS 7.8 counts the duration as a
 * subscriber of the group), hence the explicit stop.
 */
export function perContainer<Moment extends { container: Pick<Container, 'id'> }, T>(
  moments$: Observable<Moment>,
  until: (life$: Observable<Moment>) => Observable<unknown>,
  follow: (life$: Observable<Moment>) => Observable<T>,
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
