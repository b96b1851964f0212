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
  /** What a rule means, in a sentence that quotes nobody. */
  meaningOf: (rule: string) => string
  runbookBase: string
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
