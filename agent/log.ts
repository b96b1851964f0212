import { createLogger, format, type Logger, transports } from 'winston'
import { printable } from './model/text.ts'

export type LogFormat = 'json' | 'text'
export type LogOptions = {
  level: string
  format: LogFormat
  /** Masks secrets in lines: an error may quote what it failed on. */
  redact: (text: string) => string
  /** Told of lines that were dropped because nobody reads them. */
  onLost: (count: number) => void
}

// winston keeps what its reader does not take, without bound: a stuck journal must not eat the host's memory.
const maxBufferedBytes = 1_048_576

/** The daemon's log on standard output: one JSON object a line, or text for people. */
export function createLog({ level, format: lines, redact, onLost }: LogOptions): Logger {
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
  return createLogger({
    level,
    format: format.combine(
      dropWhenStuck(),
      masked(),
      lines === 'json' ? jsonLine : textLine(process.stdout.isTTY),
    ),
    transports: [new transports.Stream({ stream: process.stdout })],
  })
}

/** Resolves when everything logged so far was written: `process.exit` does not wait for a pipe. */
export function flushLog(log: Logger): Promise<void> {
  return new Promise((resolve) => {
    log.once('finish', () => process.stdout.write('', () => resolve()))
    log.end()
  })
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
