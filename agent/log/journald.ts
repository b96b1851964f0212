import { printable } from '../lib/text.ts'
import { fieldsOf, type LogEntry, priorityOf } from './entry.ts'

export const journalSocket = '/run/systemd/journal/socket'

/**
 * A line in the journal's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/), so that findings can be
 * searched by field: `journalctl TIDEWATCH_RULE=interactive-shell`. No value contains a newline, so none needs the
 * binary form.
 */
export function journalEntry(entry: LogEntry): string {
  const fields = [
    `MESSAGE=${printable(String(entry.message))}`,
    `PRIORITY=${priorityOf(entry)}`,
    'SYSLOG_IDENTIFIER=tidewatch',
    ...[...fieldsOf(entry)].map(([name, value]) => `TIDEWATCH_${name}=${value}`),
  ]
  return fields.map((field) => `${field}\n`).join('')
}

/** Whether standard output is the journal: systemd passes the socket's device and inode (systemd.exec(5)). */
export function isJournal(stream: string | undefined, { dev, ino }: { dev: number; ino: number }): boolean {
  return stream === `${dev}:${ino}`
}
