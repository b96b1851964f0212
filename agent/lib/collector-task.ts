import { Observable } from 'rxjs'

/** What a collector is given while it runs. */
export type CollectorTask = {
  /** Aborted when nobody subscribes any more. */
  signal: AbortSignal
  /** Takes what must be closed, the last first, when the collector ends or fails. */
  cleanUp: (close: () => void) => void
  /** For what goes wrong in a callback. */
  fail: (error: unknown) => void
}

/** A stream written as one asynchronous function, from attaching to the end of time. */
export function collector<T>(
  run: (emit: (value: T) => void, task: CollectorTask) => Promise<void>,
): Observable<T> {
  return new Observable((subscriber) => {
    const abort = new AbortController()
    const resources = new DisposableStack()
    const fail = (error: unknown) => {
      if (!abort.signal.aborted) subscriber.error(error)
    }
    const cleanUp = (close: () => void) => resources.defer(close)
    run((value) => subscriber.next(value), { signal: abort.signal, cleanUp, fail }).catch(fail)
    return () => {
      abort.abort()
      resources.dispose()
    }
  })
}
