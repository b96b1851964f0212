import type { Logger } from 'winston'
import type { Publication } from '../agent/findings/publication.ts'
import type { Finding, Severity } from '../agent/model/finding.ts'

const levels: Readonly<Record<Severity, string>> = { info: 'info', warning: 'warn', critical: 'error' }

/** Logs each new or resolved finding: a readable line, with the whole finding attached as JSON. */
export function logFinding(log: Logger, { change, finding }: Publication): void {
  if (change === 'updated') return
  // Allowed findings need no attention, but may be useful for debugging.
  if (finding.state === 'suppressed') {
    log.debug(findingLine(finding), { finding })
    return
  }
  log.log({ level: levels[finding.severity], message: findingLine(finding), finding })
}

/** `WARNING interactive-shell: alice opened an interactive shell in web-1 as root`. */
export function findingLine({ severity, state, rule, summary }: Finding): string {
  const what = state === 'firing' ? severity.toUpperCase() : state === 'resolved' ? state : 'allowed'
  return `${what} ${rule}: ${summary}`
}
