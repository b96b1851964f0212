import { ignoreElements, interval, merge, type Observable, switchMap, tap, timer } from 'rxjs'
import type { CurrentConfig } from '../config/current.ts'
import type { Policy } from '../policy/policy.ts'
import type { Publisher } from './publisher.ts'
import type { Store } from '../store/store.ts'

export type MaintenanceOptions = {
  current: Pick<CurrentConfig, 'now' | 'all$'>
  policy: Pick<Policy, 'hasExpired'>
  publisher: Pick<
    Publisher,
    'resolveUnconfirmed' | 'reconsider' | 'flushRepeats' | 'reportThrottled' | 'storeAgain'
  >
  queueForReceivers: () => void
  store: Pick<Store, 'tryToRestore' | 'prune' | 'movedAside'>
  /** Epoch milliseconds. */
  now: () => number
}

// A condition from an earlier run ends if no detector confirms it within this time. Milliseconds, like all below.
const confirmAfterMs = 120_000
const restoreEveryMs = 10_000
const pruneEveryMs = 60_000
const repeatsEveryMs = 1_000
const throttledEveryMs = 60_000
const expiredEveryMs = 15_000

/** The daemon's periodic work, which no observation triggers. Emits nothing. */
export function maintenance({
  current,
  policy,
  publisher,
  queueForReceivers,
  store,
  now,
}: MaintenanceOptions): Observable<never> {
  // After a start, and after a reload, which may restart detectors.
  const unconfirmed$ = current.all$.pipe(switchMap(() => timer(confirmAfterMs)))

  function reconsiderIfExpired(): void {
    if (policy.hasExpired()) publisher.reconsider()
  }

  function prune(): void {
    const { retention, max_size } = current.now().findings
    store.prune({ maxAgeMs: retention, maxBytes: max_size }, now())
  }

  let movedAside = store.movedAside()
  /** A new store lacks what could not be read from the old one. */
  function restoreStore(): void {
    store.tryToRestore()
    if (store.movedAside() === movedAside) return
    movedAside = store.movedAside()
    publisher.storeAgain()
    queueForReceivers()
  }

  return merge(
    unconfirmed$.pipe(tap(publisher.resolveUnconfirmed)),
    interval(repeatsEveryMs).pipe(tap(publisher.flushRepeats)),
    interval(throttledEveryMs).pipe(tap(publisher.reportThrottled)),
    timer(0, expiredEveryMs).pipe(tap(reconsiderIfExpired)),
    interval(restoreEveryMs).pipe(tap(restoreStore)),
    timer(0, pruneEveryMs).pipe(tap(prune)),
  ).pipe(ignoreElements())
}
