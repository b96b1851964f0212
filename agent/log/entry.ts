import type { Finding } from '../model/finding.ts'
import { clip, printable } from '../lib/text.ts'

/** One log line: its level, its message and its fields. */
export type LogEntry = { level: string; message: unknown; finding?: Finding; [field: string]: unknown }

/** A line to be logged. */
export type LogLine = LogEntry & { message: string }

// A socket datagram holds about 200 KB. Each evidence value is bounded, but their sum is not.
const maxJson = 65_536

/** The fields to search log lines by, and the whole finding as JSON. Each value is a single line. */
export function fieldsOf({
  level: _level,
  message: _message,
  finding,
  ...details
}: LogEntry): Map<string, string> {
  const fields = new Map<string, string>()
  const add = (name: string, value: string) =>
    value !== '' && fields.set(name, printable(clip(value, maxJson)))
  if (finding !== undefined) {
    add('FINDING_ID', finding.id)
    add('DETECTOR', finding.detector)
    add('RULE', finding.rule)
    add('SEVERITY', finding.severity)
    add('STATE', finding.state)
    add('CONTAINER', finding.container?.name ?? '')
    add('IMAGE', finding.container?.image ?? '')
    add('FINGERPRINT', finding.fingerprint)
    add('FINDING', JSON.stringify(finding))
  }
  if (Object.keys(details).length > 0) add('DETAILS', JSON.stringify(details))
  return fields
}

// syslog(3): LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG. A critical finding is LOG_CRIT.
const priorities: Readonly<Record<string, number>> = { error: 3, warn: 4, info: 6, debug: 7 }

/** The priority of a line in the journal and in syslog. */
export function priorityOf({ level, finding }: Pick<LogEntry, 'level' | 'finding'>): number {
  return finding?.severity === 'critical' && finding.state === 'firing' ? 2 : (priorities[level] ?? 6)
}
