import { runbookUrl } from '../../runbooks.ts'
import type { AlertingRule, RuleGroup } from './rule-file.ts'

type HealthAlert = {
  severity: 'none' | 'warning' | 'critical'
  expr: string
  /** How long it must hold. */
  for?: string
  /** One line, a template of Prometheus. */
  summary: string
  description: string
}

const at = 'tidewatch on {{ $labels.instance }}'

/**
 * What Prometheus has to say of the daemon itself, because the daemon cannot: it is gone, blind or not heard.
 * That a source is degraded and that events were lost are findings of `monitor-integrity`, and alerts with them.
 */
export const healthAlerts: Readonly<Record<string, HealthAlert>> = {
  TidewatchDown: {
    severity: 'critical',
    expr: 'up{job="tidewatch"} == 0',
    for: '5m',
    summary: `${at} cannot be scraped: the host is not watched.`,
    description: 'For five minutes no scrape has succeeded. The daemon may have ended, or been ended.',
  },
  TidewatchAbsent: {
    severity: 'critical',
    expr: 'absent(up{job="tidewatch"})',
    for: '10m',
    summary: 'Prometheus has no target of the job tidewatch: nothing is watched.',
    description: 'Service discovery lost every target, or the scrape job has another name than tidewatch.',
  },
  TidewatchSourceDown: {
    severity: 'critical',
    expr: 'tidewatch_source_up == 0',
    for: '5m',
    summary: `${at} is blind: its source {{ $labels.source }} is down.`,
    description: 'What this source would see is not seen, and no finding is made of it.',
  },
  TidewatchEventGap: {
    severity: 'warning',
    // The counter is 0 when the daemon starts and may be 1 before the first scrape.
    expr: `increase(tidewatch_docker_event_gaps_total[15m]) > 0
or (tidewatch_docker_event_gaps_total > 0 and on (job, instance) time() - process_start_time_seconds < 900)
`,
    summary: `${at} missed events that the engine had forgotten already.`,
    description: 'The engine remembers its last 256 events; more came while the daemon was away or too slow.',
  },
  TidewatchDetectorFailing: {
    severity: 'warning',
    expr: 'increase(tidewatch_detector_errors_total[15m]) > 0',
    summary: `${at}: the detector {{ $labels.detector }} failed and was started again.`,
    description: 'What it held in mind is lost; what it would have found meanwhile may not have been found.',
  },
  TidewatchNotificationsFailing: {
    severity: 'critical',
    expr: `increase(tidewatch_notifications_total{outcome="failed"}[10m]) > 0
and on (job, instance, receiver) tidewatch_notification_queue_length > 0
`,
    for: '10m',
    summary: `${at} cannot deliver to {{ $labels.receiver }}: findings wait.`,
    description: 'They are kept and delivered when the receiver answers again, for a day.',
  },
  TidewatchNotificationsLost: {
    severity: 'critical',
    expr: 'sum by (job, instance, receiver, outcome) (increase(tidewatch_notifications_total{outcome=~"rejected|expired"}[15m])) > 0',
    summary: `${at}: findings will not reach {{ $labels.receiver }} any more ({{ $labels.outcome }}).`,
    description:
      'The receiver refused them, or did not answer for a day. They are in the store: tidewatch findings.',
  },
  TidewatchReloadFailed: {
    severity: 'warning',
    expr: 'tidewatch_config_last_reload_successful == 0',
    for: '5m',
    summary: `${at} runs with an old configuration: the new one is wrong.`,
    description: 'tidewatch check-config FILE lists everything that is wrong with it.',
  },
  TidewatchRestarting: {
    severity: 'warning',
    expr: 'changes(process_start_time_seconds[30m]) > 2 and on (job, instance) tidewatch_build_info',
    summary: `${at} was started again three times or more in half an hour.`,
    description: 'Each time it is blind for a moment. Somebody or something ends it.',
  },
  TidewatchStoreDown: {
    severity: 'warning',
    expr: 'tidewatch_store_up == 0',
    for: '5m',
    summary: `${at} keeps its findings in memory only.`,
    description:
      'The state directory is full, read-only, locked or gone. A crash would lose what was not delivered.',
  },
  TidewatchFindingsLost: {
    severity: 'critical',
    expr: 'increase(tidewatch_store_findings_lost_total[15m]) > 0',
    summary: `${at} forgot findings, because it could not store them.`,
    description: 'Memory for what cannot be stored is bounded; the oldest went.',
  },
  TidewatchWatchdog: {
    severity: 'none',
    expr: 'count(up{job="tidewatch"} == 1) > 0',
    summary: 'Always firing: a daemon is up, Prometheus scrapes it, and its alerts arrive.',
    description:
      'A dead-man’s switch: route it to something that calls for help when it no longer comes. {{ $value }} daemons are up.',
  },
}

/** The health alerts as one group. */
export function healthGroups(): RuleGroup[] {
  const rules = Object.entries(healthAlerts).map(([name, alert]) => healthRule(name, alert))
  return [{ name: 'tidewatch-health', rules }]
}

function healthRule(name: string, alert: HealthAlert): AlertingRule {
  const { severity, expr, summary, description } = alert
  return {
    alert: name,
    expr,
    ...(alert.for !== undefined && { for: alert.for }),
    labels: { severity },
    annotations: { summary, description, runbook_url: runbookUrl(name) },
  }
}
