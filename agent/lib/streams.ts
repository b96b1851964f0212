import {
  defer,
  EMPTY,
  exhaustMap,
  finalize,
  catchError,
  merge,
  Observable,
  retry,
  Subject,
  timeout,
  timer,
} from 'rxjs'

/** Times in milliseconds. */
export type Backoff = { first: number; max: number }

const defaultBackoff: Backoff = { first: 200, max: 30_000 }

/**
 * Restarts a stream whenever it fails, after an exponential backoff with jitter that resets once the stream has
 * emitted. A value returned by `onFailure` is emitted at each failure.
 */
export function supervise<T>(
  work$: Observable<T>,
  onFailure: (error: unknown) => T | undefined,
  backoff: Backoff = defaultBackoff,
  waitOf = backoffMs,
): Observable<T> {
  return defer(() => {
    const failures$ = new Subject<T>()
    const attempts$ = work$.pipe(
      retry({
        delay: (error: unknown, attempt: number) => {
          const waitMs = waitOf(attempt, backoff)
          const notice = onFailure(error)
          if (notice !== undefined) failures$.next(notice)
          return timer(waitMs)
        },
        resetOnSuccess: true,
      }),
      finalize(() => failures$.complete()),
    )
    return merge(failures$, attempts$)
  })
}

/** The wait before attempt 1, 2, …: it doubles up to a maximum; jitter then takes away up to half of it. */
export function backoffMs(attempt: number, { first, max }: Backoff, random = Math.random): number {
  const ceiling = Math.min(max, first * 2 ** Math.min(attempt - 1, 30))
  return Math.round(ceiling / 2 + (random() * ceiling) / 2)
}

export type PollOptions = {
  everyMs: number
  /** The delay before the first call. */
  firstMs?: number
  /** A call that takes longer is abandoned, so that one hung call does not stop polling. */
  timeoutMs: number
  onError: (error: unknown) => void
}

/** Calls `read` periodically, never twice at the same time; a failure does not stop it. */
export function poll<T>(read: () => Observable<T>, options: PollOptions): Observable<T> {
  return timer(options.firstMs ?? 0, options.everyMs).pipe(
    exhaustMap(() =>
      defer(read).pipe(
        timeout(options.timeoutMs),
        catchError((error: unknown) => {
          options.onError(error)
          return EMPTY
        }),
      ),
    ),
  )
}

/** Turns asynchronous work into a stream; unsubscribing aborts it. */
export function fromAbortable<T>(work: (signal: AbortSignal) => Promise<T>): Observable<T> {
  return new Observable<T>((subscriber) => {
    const controller = new AbortController()
    work(controller.signal).then(
      (value) => {
        subscriber.next(value)
        subscriber.complete()
      },
      (error: unknown) => subscriber.error(error),
    )
    return () => controller.abort()
  })
}
