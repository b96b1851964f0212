import { isoTime } from '../../agent/lib/iso-time.ts'
import type { Finding } from '../../agent/model/finding.ts'
import { printable } from '../../agent/lib/text.ts'
import { evidenceLines } from '../evidence.ts'
import { endOf, resolutionOf } from '../resolution.ts'
import type { Describe } from '../receiver.ts'

/** One alert of Alertmanager's API v2 (`PostableAlert` of its openapi.yaml). */
export type Alert = {
  labels: Readonly<Record<string, string>>
  annotations: Readonly<Record<string, string>>
  startsAt: string
  endsAt: string
}

/**
 * How long an event's alert stays active and a resolution is repeated. Alertmanager never notifies about an alert
 * that ends before `group_wait`.
 */
export const holdMs = 15 * 60_000

/** How often active alerts are sent again: Alertmanager loses all alerts when it restarts. */
export const resendMs = 60_000

// When the daemon dies, Alertmanager resolves its conditions after this time. One missed send is not enough for that.
const conditionTtlMs = 5 * resendMs

// Alertmanager ignores an end that its clock has not reached until the alert is sent again. Its clock is known to within
// some seconds, and the end may be dated by another: the engine's. The next reminder has the exact end.
const endMarginMs = 6_000

/** What an alert depends on besides the finding; times in milliseconds. */
export type AlertOptions = {
  /** When the receiver first accepted it; null until then. */
  deliveredAt: number | null
  now: number
  /** Add this to a time of this host to get that of the receiver. */
  correctionMs: number
  describe: Describe
}

/**
 * Converts a finding to an alert. The hold time of an event starts at its first delivery, so that a late event is
 * notified too. Start and end are times of the receiver's clock: to a receiver whose clock is ahead, a firing alert
 * would be over already.
 */
export function toAlert(finding: Finding, options: AlertOptions): Alert {
  const { deliveredAt, now, correctionMs, describe } = options
  const { runbookUrl, techniqueOf } = describe
  const { container } = finding
  const name = alertName(finding.rule)
  return {
    labels: withoutEmpty({
      alertname: name,
      detector: finding.detector,
      rule: finding.rule,
      severity: finding.severity,
      host: finding.host,
      container: container?.name ?? '',
      image: container?.image ?? '',
      fingerprint: finding.fingerprint,
      job: 'tidewatch',
    }),
    annotations: withoutEmpty({
      summary: finding.summary,
      description: descriptionOf(finding),
      resolution: endText(finding),
      finding_id: finding.id,
      container_id: container?.id ?? '',
      count: String(finding.count),
      first_seen: finding.first_seen,
      last_seen: finding.last_seen,
      technique: techniqueOf(finding.rule),
      runbook_url: runbookUrl(name),
      ...evidenceAnnotations(finding.evidence),
    }),
    startsAt: isoTime(Date.parse(finding.first_seen) + correctionMs),
    endsAt: isoTime(endsAt(finding, deliveredAt, now) + correctionMs),
  }
}

/** Whether the receiver has the finding and needs no further reminder of it. */
export function isOver(finding: Finding, deliveredAt: number | null, now: number): boolean {
  if (deliveredAt === null) return false
  if (finding.kind === 'condition' && finding.state === 'firing') return false
  return now >= Math.max(deliveredAt, endOf(finding)) + holdMs
}

/** `interactive-shell` as Prometheus names alerts: `TidewatchInteractiveShell`. */
export function alertName(rule: string): string {
  return `Tidewatch${rule.replace(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase())}`
}

function endsAt(finding: Finding, deliveredAt: number | null, now: number): number {
  // Resolved, or allowed by a policy that changed since the alert was sent. Alertmanager rejects an end before the start.
  if (finding.state !== 'firing')
    return Math.max(Math.min(endOf(finding), now - endMarginMs), Date.parse(finding.first_seen))
  if (finding.kind === 'condition') return now + conditionTtlMs
  return Math.max(Date.parse(finding.last_seen), deliveredAt ?? now) + holdMs
}

function descriptionOf(finding: Finding): string {
  const { summary, severity, state, host, container, last_seen } = finding
  const where =
    container === null ? `host ${host}` : `container ${container.name} (${container.image}) on ${host}`
  const reason = resolutionOf(finding)
  const ended = state === 'suppressed' ? 'Allowed' : `Resolved at ${isoTime(endOf(finding))}`
  const end = state === 'firing' ? '' : ` ${ended}${reason && `: ${reason}`}.`
  return printable(`${severity}: ${summary}. Seen at ${last_seen}, ${where}.${end}`)
}

function endText(finding: Finding): string {
  return `${finding.state === 'suppressed' ? 'allowed: ' : ''}${resolutionOf(finding)}`
}

const maxAnnotation = 1_000

/** Evidence as annotations: they are not part of an alert's identity, so their values may change. */
function evidenceAnnotations(evidence: Finding['evidence']): Record<string, string> {
  return Object.fromEntries(
    evidenceLines(evidence, maxAnnotation).map(([key, text]) => [
      `evidence_${key.replace(/\W/g, '_')}`,
      text,
    ]),
  )
}

function withoutEmpty(record: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== ''))
}
