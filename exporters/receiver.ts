import type { Publication } from '../agent/findings/publication.ts'
import { type Finding, isAtLeast, type Severity } from '../agent/model/finding.ts'
import type { Delivery, Queue } from '../agent/store/tables.ts'
import type { Answer, PostOptions } from './http.ts'

/** What exporters say about a rule or an alert beyond the finding itself. */
export type Describe = {
  /** The MITRE ATT&CK technique of a rule; empty if it has none. */
  techniqueOf: (rule: string) => string
  /** Where to read what to do about an alert. */
  runbookUrl: (alertName: string) => string
}

/** What sending depends on besides the findings. */
export type SendOptions = PostOptions & {
  describe: Describe
  /** Add this to a time to get that of the receiver's clock, in milliseconds; 0 while the clocks agree. */
  correctionMs: number
}

/** A destination of findings: which findings it gets, how they are sent, and when it needs reminders. Times in ms. */
export type Receiver = Queue & {
  /** The connection settings as text; a receiver is replaced when they change. */
  connectionKey: string
  /** Findings below this severity are not sent. */
  minSeverity: Severity
  /** Whether it is notified when a finding ends: it was resolved, or is now allowed. */
  sendResolved: boolean
  /**
   * What depends on the receiver's clock and is corrected if the clocks differ: the times of alerts, which are sent
   * again at once, the signature of a request, which is sent again if the receiver refused it, or nothing.
   */
  corrects: 'alerts' | 'signature' | 'nothing'
  /** Findings per request. */
  batchSize: number
  /** Rejects if there is no response. */
  send: (batch: readonly Delivery[], options: SendOptions) => Promise<Answer>
  /** Time until the receiver needs a reminder of a delivered finding; null for no further reminder. */
  remindAfter: (finding: Finding, deliveredAt: number | null, now: number) => number | null
}

/** Whether a receiver is notified of a change: it may not want minor findings, or ends. */
export function accepts(
  { minSeverity, sendResolved }: Pick<Receiver, 'minSeverity' | 'sendResolved'>,
  { change, finding }: Pick<Publication, 'change' | 'finding'>,
): boolean {
  const isEnd = change === 'resolved' || change === 'suppressed'
  return isAtLeast(finding.severity, minSeverity) && (sendResolved || !isEnd)
}
