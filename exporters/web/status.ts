import type { Finding, Severity } from '../../agent/model/finding.ts'
import type { SourceStatus } from '../../agent/model/observation.ts'

export type Status = {
  host: string
  version: string
  startedAt: number
  now: number
  sources: readonly { name: string; status: SourceStatus | undefined }[]
  containersRunning: number
  counters: Counters
  receivers: readonly { name: string; waiting: number }[]
  storeMode: string
  firing: readonly Finding[]
  latest: readonly Finding[]
  /** What a rule means, in a sentence without evidence. */
  meaningOf: (rule: string) => string
  /** The MITRE ATT&CK technique of a rule; empty if it has none. */
  techniqueOf: (rule: string) => string
  /** Address of an alert's runbook. */
  runbookUrl: (alertName: string) => string
}

/** Counts since the daemon started. */
export type Counters = {
  findings: Readonly<Record<Severity, number>>
  /** By the source's name. */
  events: ReadonlyMap<string, number>
  lost: ReadonlyMap<string, number>
  execs: number
  healthchecks: number
}
