import { concatMap, filter, type Observable } from 'rxjs'
import type { Observation, SourceName, SourceStatus } from '../model/observation.ts'

/** What a source's change of state is worth in the log. */
export type HealthLine = { level: 'info' | 'warn'; line: string }

/** What every source last said of itself. */
export type SourceHealth = {
  /** Keeps up with the sources, and emits a line for the log where one changed. */
  follow(observations$: Observable<Observation>): Observable<HealthLine>
  statuses(): readonly SourceStatus[]
  all(): readonly { name: SourceName; status: SourceStatus | undefined }[]
  /** Every source is attached, or has said why it is not. */
  isReady(): boolean
}

/** Follows the sources of these names. */
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

function describeChange(before: SourceStatus | undefined, after: SourceStatus): HealthLine[] {
  const { source, up, mode, best, reason } = after
  if (before?.up === up && before.mode === mode && before.reason === reason) return []
  if (!up) return [{ level: 'warn', line: `${source} is down: ${reason}` }]
  if (!best) return [{ level: 'warn', line: `${source} is up in mode ${mode} only: ${reason}` }]
  return [{ level: 'info', line: `${source} is up in mode ${mode}` }]
}
