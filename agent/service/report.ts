import { interval, mergeMap, type Observable } from 'rxjs'
import type { SourceStatus } from '../model/observation.ts'
import type { Heartbeat } from './heartbeat.ts'
import type { ServiceManager } from './manager.ts'

/** How often the daemon's heart beats: four times in the time after which it is counted as hung. Milliseconds. */
export function beatEveryMs({ watchdogMs }: Pick<ServiceManager, 'watchdogMs'>): number {
  return watchdogMs === null ? 10_000 : Math.min(10_000, watchdogMs / 4)
}

export type ReportOptions = {
  manager: ServiceManager
  heartbeat: Heartbeat
  everyMs: number
  statusLine: () => string
  /** Epoch milliseconds. */
  now: () => number
  monotonic?: () => number
}

/**
 * Tells the service manager at every beat how the daemon does, and that it lives while the event loop turns and no
 * source hangs: then the manager starts it anew. Emits the sources that hang, or do no more.
 */
export function report(options: ReportOptions): Observable<SourceStatus> {
  const { manager, heartbeat, everyMs, statusLine, now, monotonic = () => performance.now() } = options
  return interval(everyMs).pipe(
    mergeMap(() => {
      const changes = heartbeat.beat({ monotonic: monotonic(), epoch: now() })
      const isAlive = heartbeat.hung().length === 0
      manager.tell({ STATUS: statusLine(), ...(isAlive ? { WATCHDOG: '1' } : {}) })
      return changes
    }),
  )
}
