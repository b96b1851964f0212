import { Observable } from 'rxjs'

/** What a running collector receives. */
export type CollectorTask = {
  /** Aborted on unsubscription. */
  signal: AbortSignal
  /** Registers a function to call when the collector ends or fails; the last registered runs first. */
  cleanUp: (close: () => void) => void
  /** Reports an error from a callback; it ends the stream. */
  fail: (error: unknown) => void
}

/** A stream written as one asynchronous function that attaches and then runs until unsubscribed. */
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
