import { interval, mergeMap, type Observable } from 'rxjs'
import type { SourceStatus } from '../model/observation.ts'
import type { Heartbeat } from './heartbeat.ts'
import type { ServiceManager } from './manager.ts'

/** Interval of the heartbeat in milliseconds: a quarter of the watchdog timeout, at most 10 s. */
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
 * Sends the daemon's status to the service manager at every beat, and feeds the watchdog while the event loop runs and
 * no source is hung; otherwise the manager restarts the daemon. Emits the sources that became hung or recovered.
 */
export function report(options: ReportOptions): Observable<SourceStatus> {
  const { manager, heartbeat, everyMs, statusLine, now, monotonic = () => performance.now() } = options
  return interval(everyMs).pipe(
    mergeMap(() => {
      const changes = heartbeat.beat({ monotonic: monotonic(), epoch: now() })
      const isHealthy = heartbeat.hung().length === 0
      manager.notify({ STATUS: statusLine(), ...(isHealthy ? { WATCHDOG: '1' } : {}) })
      return changes
    }),
  )
}
