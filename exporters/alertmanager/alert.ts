import { isoTime } from '../../agent/lib/iso-time.ts'
import type { Finding } from '../../agent/model/finding.ts'
import { printable } from '../../agent/lib/text.ts'
import { evidenceLines } from '../evidence.ts'
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

/**
 * Converts a finding to an alert. The hold time of an event starts at its first delivery, so that a late event is
 * notified too.
 */
export function toAlert(
  finding: Finding,
  deliveredAt: number | null,
  now: number,
  { runbookUrl, techniqueOf }: Describe,
): Alert {
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
      description: describe(finding),
      finding_id: finding.id,
      container_id: container?.id ?? '',
      count: String(finding.count),
      first_seen: finding.first_seen,
      last_seen: finding.last_seen,
      technique: techniqueOf(finding.rule),
      runbook_url: runbookUrl(name),
      ...evidenceAnnotations(finding.evidence),
    }),
    startsAt: finding.first_seen,
    endsAt: isoTime(endsAt(finding, deliveredAt, now)),
  }
}

/** Whether the receiver has the finding and needs no further reminder of it. */
export function isOver(finding: Finding, deliveredAt: number | null, now: number): boolean {
  if (deliveredAt === null) return false
  if (finding.kind === 'condition' && finding.state === 'firing') return false
  return now >= Math.max(deliveredAt, Date.parse(finding.last_seen)) + holdMs
}

/** `interactive-shell` as Prometheus names alerts: `TidewatchInteractiveShell`. */
export function alertName(rule: string): string {
  return `Tidewatch${rule.replace(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase())}`
}

function endsAt(finding: Finding, deliveredAt: number | null, now: number): number {
  const lastSeen = Date.parse(finding.last_seen)
  // A policy change since the alert was sent allows it: the alert ends.
  if (finding.state === 'suppressed') return lastSeen
  if (finding.kind === 'event') return Math.max(lastSeen, deliveredAt ?? now) + holdMs
  return finding.state === 'firing' ? now + conditionTtlMs : lastSeen
}

function describe({ summary, severity, host, container, last_seen }: Finding): string {
  const where =
    container === null ? `host ${host}` : `container ${container.name} (${container.image}) on ${host}`
  return printable(`${severity}: ${summary}. Seen at ${last_seen}, ${where}.`)
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
