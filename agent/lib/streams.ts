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
 * Keeps a stream going for months: when it fails, `onFailure` may say so in its place, and it is started
 * again after a capped, growing and jittered wait, which starts anew once the stream has emitted.
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
          const said = onFailure(error)
          if (said !== undefined) failures$.next(said)
          return timer(waitMs)
        },
        resetOnSuccess: true,
      }),
      finalize(() => failures$.complete()),
    )
    return merge(failures$, attempts$)
  })
}

/** The wait before attempt 1, 2, …: doubling, capped, and anything between half of it and all of it. */
export function backoffMs(attempt: number, { first, max }: Backoff, random = Math.random): number {
  const ceiling = Math.min(max, first * 2 ** Math.min(attempt - 1, 30))
  return Math.round(ceiling / 2 + (random() * ceiling) / 2)
}

export type PollOptions = {
  everyMs: number
  /** When to look first. */
  firstMs?: number
  /** A look that takes longer is given up, so that one hung call does not stop the rest for ever. */
  timeoutMs: number
  onError: (error: unknown) => void
}

/** Looks at something again and again; never twice at once, and never stopped by one failure. */
export function poll<T>(look: () => Observable<T>, options: PollOptions): Observable<T> {
  return timer(options.firstMs ?? 0, options.everyMs).pipe(
    exhaustMap(() =>
      defer(look).pipe(
        timeout(options.timeoutMs),
        catchError((error: unknown) => {
          options.onError(error)
          return EMPTY
        }),
      ),
    ),
  )
}

/** A promise's work as a stream that is told to stop when nobody wants its result any more. */
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
