import type { Logger } from 'winston'
import type { Publication } from '../agent/findings/publication.ts'
import type { Finding, Severity } from '../agent/model/finding.ts'

const levels: Readonly<Record<Severity, string>> = { info: 'info', warning: 'warn', critical: 'error' }

/** Writes each new or resolved finding to the log: a line for people, with the whole finding behind it in JSON. */
export function logFinding(log: Logger, { change, finding }: Publication): void {
  if (change === 'updated') return
  // What is allowed is nobody's concern, but somebody may look for it.
  if (finding.state === 'suppressed') {
    log.debug(findingLine(finding), { finding })
    return
  }
  log.log({ level: levels[finding.severity], message: findingLine(finding), finding })
}

/** `WARNING interactive-shell: root opened an interactive sh in web-1`. */
export function findingLine({ severity, state, rule, summary }: Finding): string {
  const what = state === 'firing' ? severity.toUpperCase() : state === 'resolved' ? state : 'allowed'
  return `${what.padEnd(8)} ${rule}: ${summary}`
}
