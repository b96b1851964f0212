import { isoTime } from '../../agent/lib/iso-time.ts'
import type { Finding } from '../../agent/model/finding.ts'
import { printable } from '../../agent/lib/text.ts'
import { evidenceLines } from '../evidence.ts'
import { runbookUrl } from '../runbooks.ts'

/** One alert of Alertmanager's API v2 (`PostableAlert` of its openapi.yaml). */
export type Alert = {
  labels: Readonly<Record<string, string>>
  annotations: Readonly<Record<string, string>>
  startsAt: string
  endsAt: string
}

/** How long an event is held, and a resolution repeated: an alert that ends before `group_wait` is never notified. */
export const holdMs = 15 * 60_000

/** How often what still holds is sent again: Alertmanager forgets all alerts when it restarts. */
export const resendMs = 60_000

// A condition whose daemon dies is resolved by Alertmanager after this long: some missed sends, not one.
const conditionTtlMs = 5 * resendMs

/** A finding as an alert. An event is held from when the receiver first gets it, so that a late one is seen too. */
export function toAlert(
  finding: Finding,
  deliveredAt: number | null,
  now: number,
  runbookBase?: string,
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
      runbook_url: runbookUrl(name, runbookBase),
      ...evidenceAnnotations(finding.evidence),
    }),
    startsAt: finding.first_seen,
    endsAt: isoTime(endsAt(finding, deliveredAt, now)),
  }
}

/** Whether a receiver that has a finding needs no further reminder of it. */
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
  // What is allowed since it was sent has ended with that.
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

/** Evidence as text: annotations do not count for an alert's identity, so they may hold what changes. */
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
