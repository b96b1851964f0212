import { printable } from '../lib/text.ts'
import { fieldsOf, type LogEntry, priorityOf } from './entry.ts'

export const syslogSocket = '/dev/log'

const facilityDaemon = 3
// tidewatch has no enterprise number; this one is reserved for documentation (RFC 5612).
const structuredId = 'tidewatch@32473'

/** A line in RFC 5424 format, with the finding's fields as structured data. */
export function syslogLine(
  entry: LogEntry,
  { host, pid, time }: { host: string; pid: number; time: Date },
): string {
  const fields = fieldsOf(entry)
  const data = [...fields].map(([name, value]) => ` ${name.toLowerCase()}="${escaped(value)}"`).join('')
  const head = `<${facilityDaemon * 8 + priorityOf(entry)}>1 ${time.toISOString()}`
  const id = entry.finding?.rule ?? '-'
  const structured = data === '' ? '-' : `[${structuredId}${data}]`
  return `${head} ${nameOf(host)} tidewatch ${pid} ${id} ${structured} ${printable(String(entry.message))}`
}

/** RFC 5424, 6.3.3: these three characters must be escaped in a value. */
function escaped(value: string): string {
  return value.replace(/["\\\]]/g, (character) => `\\${character}`)
}

function nameOf(host: string): string {
  return host.replace(/[^\x21-\x7e]/g, '?').slice(0, 255) || '-'
}
