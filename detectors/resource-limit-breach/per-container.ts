import { defer, finalize, groupBy, mergeMap, type Observable, Subject, takeUntil, tap } from 'rxjs'
import type { Container } from '../../agent/model/container.ts'

/** What was last seen of the container that is followed; null while only its id is known. */
export type Followed = () => Container | null

/**
 * Follows each container by itself until `until` says that its life is over. A bare groupBy whose duration
 * depends on its own group keeps its source subscribed after unsubscription (RxJS 7.8 counts the duration as a
 * subscriber of the group), hence the explicit stop.
 */
export function perContainer<Moment extends { container: Pick<Container, 'id'> }, T>(
  moments$: Observable<Moment>,
  until: (life$: Observable<Moment>) => Observable<unknown>,
  follow: (life$: Observable<Moment>, container: Followed) => Observable<T>,
): Observable<T> {
  return defer(() => {
    const stop$ = new Subject<void>()
    return moments$.pipe(
      takeUntil(stop$),
      groupBy(({ container }) => container.id, { duration: until }),
      mergeMap((life$) => {
        let container: Container | null = null
        const remember = ({ container: seen }: Moment) => {
          if (isWhole(seen)) container = seen
        }
        return follow(life$.pipe(tap(remember)), () => container)
      }),
      finalize(() => stop$.next()),
    )
  })
}

function isWhole(container: Pick<Container, 'id'>): container is Container {
  return 'labels' in container
}
