import { fstatSync } from 'node:fs'
import type { Writable } from 'node:stream'
import { createLogger, format, type Logger, transports } from 'winston'
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
  /** Masks secrets in lines: an error may quote what it failed on. */
  redact: (text: string) => string
  /** Told of lines that were dropped because nobody reads them. */
  onLost: (count: number) => void
}

// winston keeps what its reader does not take, without bound: a stuck journal must not eat the host's memory.
const maxBufferedBytes = 1_048_576

/** The daemon's log: JSON or text on standard output, or fields to the journal or syslog. */
export function createLog({ level, format: lines, host, redact, onLost }: LogOptions): Logger {
  const dropWhenStuck = format((entry) => {
    if (process.stdout.writableLength <= maxBufferedBytes) return entry
    onLost(1)
    return false
  })
  const masked = format((entry) => {
    entry.message = redact(String(entry.message))
    if (typeof entry['stack'] === 'string') entry['stack'] = redact(entry['stack'])
    return entry
  })
  const { line, stream, eol } = outputOf(lines, host, onLost)
  return createLogger({
    level,
    format: format.combine(dropWhenStuck(), masked(), line),
    transports: [new transports.Stream({ stream, eol })],
  })
}

/** What suits where standard output goes: a person, the journal, or whoever collects it. */
export function defaultFormat(env: Readonly<Record<string, string | undefined>>): LogFormat {
  if (process.stdout.isTTY) return 'text'
  const isOfJournal = env['JOURNAL_STREAM'] !== undefined && isJournal(env['JOURNAL_STREAM'], fstatSync(1))
  return isOfJournal ? 'journald' : 'json'
}

/** Resolves when everything logged so far was written: `process.exit` does not wait for a pipe. */
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

const jsonLine = format.combine(format.timestamp(), format.json({ deterministic: false }))

const colours: Readonly<Record<string, string>> = { error: '\x1b[31m', warn: '\x1b[33m', debug: '\x1b[2m' }

function textLine(inColour: boolean) {
  return format.combine(
    format.timestamp({ format: 'HH:mm:ss' }),
    format.printf(({ level, message, timestamp }) => {
      const line = `${String(timestamp)} ${printable(String(message))}`
      const colour = colours[level]
      return inColour && colour !== undefined ? `${colour}${line}\x1b[0m` : line
    }),
  )
}
