import { fstatSync } from 'node:fs'
import type { Writable } from 'node:stream'
import { createLogger, format, type Logger, transports } from 'winston'
import type { LogLine } from './entry.ts'
import { isJournal, journalEntry, journalSocket } from './journald.ts'
import { socketStream } from './socket-stream.ts'
import { syslogLine, syslogSocket } from './syslog.ts'
import { printable } from '../lib/text.ts'

export const logFormats = ['json', 'text', 'journald', 'syslog'] as const
export type LogFormat = (typeof logFormats)[number]

export type LogOptions = {
  level: string
  format: LogFormat
  host: string
  /** Masks secrets in messages and fields: an error may quote its input. */
  redact: (text: string) => string
}

// winston buffers unread output without a bound: a stuck journal must not exhaust the host's memory.
const maxBufferedBytes = 1_048_576

/** The daemon's log, what starts it, and what it lost. */
export type DaemonLog = {
  log: Logger
  /**
   * Writes the start-up summary, then every line that was logged before it. Until then nothing is written, so that
   * the summary comes first; an error that ends the daemon goes to standard error instead.
   */
  start: (summary: readonly LogLine[]) => void
  /** The number of lines dropped so far because the reader is too slow. */
  lost: () => number
}

/** Writes JSON or text to standard output, or fields to the journal or syslog. */
export function createLog({ level, format: lines, host, redact }: LogOptions): DaemonLog {
  let lost = 0
  const onLost = (count: number) => (lost += count)
  let delayed: LogLine[] | null = []
  const delayUntilStart = format((entry) => {
    delayed?.push(entry as LogLine)
    return delayed === null ? entry : false
  })
  const dropWhenStuck = format((entry) => {
    if (process.stdout.writableLength <= maxBufferedBytes) return entry
    onLost(1)
    return false
  })
  const masked = format((entry) => {
    entry.message = String(entry.message)
    for (const [field, value] of Object.entries(entry))
      if (field !== 'level' && typeof value === 'string') entry[field] = redact(value)
    return entry
  })
  const { line, stream, eol } = outputOf(lines, host, onLost)
  const log = createLogger({
    level,
    format: format.combine(delayUntilStart(), dropWhenStuck(), masked(), line),
    transports: [new transports.Stream({ stream, eol })],
  })
  return {
    log,
    start(summary) {
      const earlier = delayed ?? []
      delayed = null
      for (const entry of [...summary, ...earlier]) log.log(entry)
    },
    lost: () => lost,
  }
}

/** The format that suits standard output: text for a terminal, fields for the journal, JSON otherwise. */
export function defaultFormat(env: Readonly<Record<string, string | undefined>>): LogFormat {
  if (process.stdout.isTTY) return 'text'
  const isToJournal = env['JOURNAL_STREAM'] !== undefined && isJournal(env['JOURNAL_STREAM'], fstatSync(1))
  return isToJournal ? 'journald' : 'json'
}

/** Resolves when everything logged so far is written: `process.exit` does not wait for a pipe. */
export function flushLog(log: Logger): Promise<void> {
  return new Promise((resolve) => {
    log.once('finish', () => process.stdout.write('', () => resolve()))
    log.end()
  })
}

type Output = { line: ReturnType<typeof format.combine>; stream: Writable; eol: string }

function outputOf(lines: LogFormat, host: string, onLost: (count: number) => void): Output {
  const otherwise = (text: string) => void process.stdout.write(`${text.trimEnd().replaceAll('\n', ' ')}\n`)
  switch (lines) {
    case 'json':
      return { line: jsonLine, stream: process.stdout, eol: '\n' }
    case 'journald':
      return {
        line: format.printf((entry) => journalEntry(entry)),
        stream: socketStream({ path: journalSocket, otherwise, onLost }),
        eol: '',
      }
    case 'syslog':
      return {
        line: format.printf((entry) => syslogLine(entry, { host, pid: process.pid, time: new Date() })),
        stream: socketStream({ path: syslogSocket, otherwise, onLost }),
        eol: '',
      }
    default:
      return { line: textLine(process.stdout.isTTY), stream: process.stdout, eol: '\n' }
  }
}

const jsonLine = format.combine(
  format.timestamp(),
  format.printf(({ timestamp, level, message, ...fields }) =>
    JSON.stringify({ timestamp, level, message, ...fields }),
  ),
)

const colours: Readonly<Record<string, string>> = { error: '\x1b[31m', warn: '\x1b[33m', debug: '\x1b[2m' }

function textLine(isColoured: boolean) {
  return format.combine(
    format.timestamp({ format: 'HH:mm:ss' }),
    format.printf(({ level, message, timestamp }) => {
      const line = `${String(timestamp)} ${level.padEnd(5)} ${printable(String(message))}`
      const colour = colours[level]
      return isColoured && colour !== undefined ? `${colour}${line}\x1b[0m` : line
    }),
  )
}
