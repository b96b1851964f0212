import { concatMap, filter, type Observable } from 'rxjs'
import type { LogLine } from '../log/entry.ts'
import type { Observation, SourceName, SourceStatus } from '../model/observation.ts'

/** The latest status of every source. */
export type SourceHealth = {
  /** Tracks the sources, and emits a log entry for each change of state. */
  follow(observations$: Observable<Observation>): Observable<LogLine>
  statuses(): readonly SourceStatus[]
  all(): readonly { name: SourceName; status: SourceStatus | undefined }[]
  /** Every source is attached, or has reported why it is not. */
  isReady(): boolean
}

/** Tracks the sources with these names. */
export function sourceHealth(names: readonly SourceName[]): SourceHealth {
  const latest = new Map<SourceName, SourceStatus>()
  return {
    follow: (observations$) =>
      observations$.pipe(
        filter((observation) => observation.kind === 'source-status'),
        concatMap((status) => {
          const before = latest.get(status.source)
          latest.set(status.source, status)
          return describeChange(before, status)
        }),
      ),
    statuses: () => [...latest.values()],
    all: () => names.map((name) => ({ name, status: latest.get(name) })),
    isReady: () => names.every((name) => latest.has(name)),
  }
}

function describeChange(before: SourceStatus | undefined, after: SourceStatus): LogLine[] {
  const { up, mode, reason } = after
  if (before?.up === up && before.mode === mode && before.reason === reason) return []
  return [sourceEntry(after)]
}

/** The log entry for a source's state: up, degraded (a mode that sees less than the best one) or down. */
export function sourceEntry({ source, up, mode, best, reason }: SourceStatus): LogLine {
  const fields = { source, ...(mode !== '' && { mode }), ...(reason !== '' && { reason }) }
  if (!up) return { ...fields, level: 'warn', message: `source ${source} is down: ${reason}`, state: 'down' }
  if (best) return { ...fields, level: 'info', message: `source ${source} is up (mode ${mode})`, state: 'up' }
  const message = `source ${source} is degraded (mode ${mode}): ${reason}`
  return { ...fields, level: 'warn', message, state: 'degraded' }
}
