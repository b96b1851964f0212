import type { Finding, Severity } from '../agent/model/finding.ts'
import type { Delivery, Queue } from '../agent/store/tables.ts'

/** Where findings are sent to: what it takes of them, how, and how often it has to be told. Times in milliseconds. */
export type Receiver = Queue & {
  /** The configuration that says how it is reached, as text: another one makes another receiver. */
  reachedBy: string
  /** Findings below it are not sent. */
  minSeverity: Severity
  /** How many are sent at once. */
  batchSize: number
  /** True when taken, false when refused for good; rejects when it may be tried again. */
  send: (batch: readonly Delivery[], now: number, signal: AbortSignal) => Promise<boolean>
  /** After how long it has to be reminded of what it has taken; null when never again. */
  remindAfter: (finding: Finding, deliveredAt: number | null, now: number) => number | null
}
