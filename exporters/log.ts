import type { Logger } from 'winston'
import type { Publication } from '../agent/findings/publication.ts'
import type { Finding, Severity } from '../agent/model/finding.ts'
import { outcomeOf, resolutionOf } from './resolution.ts'

const levels: Readonly<Record<Severity, string>> = { info: 'info', warning: 'warn', critical: 'error' }

/** Logs each finding, its corrections, its repeats and its end: a readable line, with the whole finding attached as JSON. */
export function logFinding(log: Logger, { change, finding }: Publication): void {
  if (change === 'updated') return
  if (change === 'corrected') log.info(`corrected ${finding.rule}: ${finding.summary}`, { finding })
  else log.log({ level: levelOf(finding), message: findingLine(finding, change === 'reopened'), finding })
}

/** Allowed findings need no attention, but may be useful for debugging. An end is no alarm. */
function levelOf({ state, severity }: Finding): string {
  if (state === 'suppressed') return 'debug'
  return state === 'resolved' ? 'info' : levels[severity]
}

/** `WARNING interactive-shell: alice opened an interactive shell in web-1 as root (3 times since 17:42:10 UTC)`. */
export function findingLine(finding: Finding, isAgain = false): string {
  const { severity, state, rule, summary } = finding
  const what = state === 'firing' ? severity.toUpperCase() : outcomeOf(finding)
  const note = noteOf(finding, isAgain)
  return `${what} ${rule}: ${summary}${note && ` (${note})`}`
}

function noteOf(finding: Finding, isAgain: boolean): string {
  const { state, count, first_seen, last_seen } = finding
  if (state !== 'firing') return resolutionOf(finding)
  const times = count > 1 ? `${count} times since ${clock(first_seen, last_seen)}` : ''
  return [isAgain ? 'again' : '', times].filter((text) => text !== '').join(', ')
}

/** The time of day, with its date if that differs from the day of the last time. */
function clock(time: string, last: string): string {
  const isSameDay = time.slice(0, 10) === last.slice(0, 10)
  return `${time.replace('T', ' ').slice(isSameDay ? 11 : 0, 19)} UTC`
}
