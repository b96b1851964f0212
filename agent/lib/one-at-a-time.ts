import { defer, EMPTY, exhaustMap, type Observable, of, type OperatorFunction, repeat, tap } from 'rxjs'

/** Does the work for each trigger, never twice at once; triggers that come meanwhile lead to one more turn. */
export function oneAtATime<T>(work: () => Observable<T>): OperatorFunction<unknown, T> {
  return (triggers$) =>
    defer(() => {
      let wanted = false
      const turn$ = defer(() => {
        wanted = false
        return work()
      })
      const anotherTurn = () => (wanted ? of(true) : EMPTY)
      return triggers$.pipe(
        tap(() => (wanted = true)),
        exhaustMap(() => turn$.pipe(repeat({ delay: anotherTurn }))),
      )
    })
}
