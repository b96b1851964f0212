import { ignoreElements, interval, merge, type Observable, switchMap, tap, timer } from 'rxjs'
import type { CurrentConfig } from '../config/current.ts'
import type { Policy } from '../policy/policy.ts'
import type { Publisher } from './publisher.ts'
import type { Store } from '../store/store.ts'

export type UpkeepOptions = {
  current: Pick<CurrentConfig, 'now' | 'all$'>
  policy: Pick<Policy, 'hasExpired'>
  publisher: Pick<Publisher, 'resolveUnconfirmed' | 'reconsider' | 'tellFolded' | 'tellExcess'>
  store: Pick<Store, 'tryToRestore' | 'prune'>
  /** Epoch milliseconds. */
  now: () => number
}

// What an earlier run left firing is over when no detector has said otherwise after this time. Milliseconds, as all here.
const confirmAfterMs = 120_000
const restoreEveryMs = 10_000
const pruneEveryMs = 60_000
const foldedEveryMs = 1_000
const excessEveryMs = 60_000
const expiredEveryMs = 15_000

/** What the daemon does by the clock and not because something was seen. Emits nothing. */
export function upkeep({ current, policy, publisher, store, now }: UpkeepOptions): Observable<never> {
  // After a start and after a reload, which may start detectors anew.
  const unconfirmed$ = current.all$.pipe(switchMap(() => timer(confirmAfterMs)))

  function reconsiderIfExpired(): void {
    if (policy.hasExpired()) publisher.reconsider()
  }

  function prune(): void {
    const { retention, max_size } = current.now().findings
    store.prune({ maxAgeMs: retention, maxBytes: max_size }, now())
  }

  return merge(
    unconfirmed$.pipe(tap(publisher.resolveUnconfirmed)),
    interval(foldedEveryMs).pipe(tap(publisher.tellFolded)),
    interval(excessEveryMs).pipe(tap(publisher.tellExcess)),
    timer(0, expiredEveryMs).pipe(tap(reconsiderIfExpired)),
    interval(restoreEveryMs).pipe(tap(store.tryToRestore)),
    timer(0, pruneEveryMs).pipe(tap(prune)),
  ).pipe(ignoreElements())
}
