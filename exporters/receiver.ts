import type { Finding, Severity } from '../agent/model/finding.ts'
import type { Delivery, Queue } from '../agent/store/tables.ts'

/** What exporters say about a rule or an alert beyond the finding itself. */
export type Describe = {
  /** The MITRE ATT&CK technique of a rule; empty if it has none. */
  techniqueOf: (rule: string) => string
  /** Where to read what to do about an alert. */
  runbookUrl: (alertName: string) => string
}

/** What sending depends on besides the findings. `now` in epoch milliseconds. */
export type SendOptions = { describe: Describe; now: number; signal: AbortSignal }

/** A destination of findings: which findings it gets, how they are sent, and when it needs reminders. Times in ms. */
export type Receiver = Queue & {
  /** The connection settings as text; a receiver is replaced when they change. */
  connectionKey: string
  /** Findings below this severity are not sent. */
  minSeverity: Severity
  /** Findings per request. */
  batchSize: number
  /** Resolves to true if accepted and false if permanently rejected; rejects if a retry may succeed. */
  send: (batch: readonly Delivery[], options: SendOptions) => Promise<boolean>
  /** Time until the receiver needs a reminder of a delivered finding; null for no further reminder. */
  remindAfter: (finding: Finding, deliveredAt: number | null, now: number) => number | null
}
