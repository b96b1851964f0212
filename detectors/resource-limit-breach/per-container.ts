import { defer, finalize, groupBy, mergeMap, type Observable, Subject, takeUntil, tap } from 'rxjs'
import type { Container } from '../../agent/model/container.ts'

/** Returns the container as last seen; null while only its id is known. */
export type CurrentContainer = () => Container | null

/**
 * Runs `judge` for each container separately, until `until` emits. A bare groupBy whose duration depends on its own
 * group keeps its source subscribed after unsubscription (RxJS 7.8 counts the duration as a subscriber of the group),
 * hence the explicit stop.
 */
export function perContainer<Input extends { container: Pick<Container, 'id'> }, T>(
  inputs$: Observable<Input>,
  until: (ofContainer$: Observable<Input>) => Observable<unknown>,
  judge: (ofContainer$: Observable<Input>, current: CurrentContainer) => Observable<T>,
): Observable<T> {
  return defer(() => {
    const stop$ = new Subject<void>()
    return inputs$.pipe(
      takeUntil(stop$),
      groupBy(({ container }) => container.id, { duration: until }),
      mergeMap((ofContainer$) => {
        let container: Container | null = null
        const remember = ({ container: seen }: Input) => {
          if (isComplete(seen)) container = seen
        }
        return judge(ofContainer$.pipe(tap(remember)), () => container)
      }),
      finalize(() => stop$.next()),
    )
  })
}

function isComplete(container: Pick<Container, 'id'>): container is Container {
  return 'labels' in container
}
