import { defer, EMPTY, exhaustMap, type Observable, of, type OperatorFunction, repeat, tap } from 'rxjs'

/**
 * Does the work for each trigger, never twice at the same time; triggers that arrive meanwhile lead to one more run.
 */
export function oneAtATime<T>(work: () => Observable<T>): OperatorFunction<unknown, T> {
  return (triggers$) =>
    defer(() => {
      let wanted = false
      const run$ = defer(() => {
        wanted = false
        return work()
      })
      const anotherRun = () => (wanted ? of(true) : EMPTY)
      return triggers$.pipe(
        tap(() => (wanted = true)),
        exhaustMap(() => run$.pipe(repeat({ delay: anotherRun }))),
      )
    })
}
