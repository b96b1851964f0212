import { scrapedRunbookUrl } from '../../runbooks.ts'
import type { AlertingRule, RuleGroup } from './rule-file.ts'

type HealthAlert = {
  severity: 'none' | 'warning' | 'critical'
  expr: string
  /** How long the expression must be true before the alert fires. */
  for?: string
  /** One line; a Prometheus template. */
  summary: string
  description: string
  /** Whether the daemon is up while the alert fires, and can serve the runbook page that the alert then links to. */
  hasDaemon: boolean
}

const at = 'tidewatch on {{ $labels.instance }}'

/**
 * Alerts on the daemon's health that only Prometheus can raise: the daemon is down, a source is down, or alerts do not
 * arrive. Degraded sources and lost events are findings of `monitor-integrity` and alert as such.
 */
export const healthAlerts: Readonly<Record<string, HealthAlert>> = {
  TidewatchDown: {
    severity: 'critical',
    expr: 'up{job="tidewatch"} == 0',
    for: '5m',
    summary: `${at} cannot be scraped: the host may be unmonitored.`,
    description:
      'All scrapes have failed for five minutes. The daemon may have exited or been killed. On the host, run systemctl status tidewatch and restart it. If it was not stopped on purpose, check the host for an intruder.',
    hasDaemon: false,
  },
  TidewatchAbsent: {
    severity: 'critical',
    expr: 'absent(up{job="tidewatch"})',
    for: '10m',
    summary: 'Prometheus has no targets for the job tidewatch: no daemon is monitored.',
    description:
      'Service discovery returns no targets, or the scrape job has another name, so TidewatchDown cannot fire either. Fix service discovery, or name the scrape job tidewatch.',
    hasDaemon: false,
  },
  TidewatchSourceDown: {
    severity: 'critical',
    expr: 'tidewatch_source_up == 0',
    for: '5m',
    summary: `${at}: source {{ $labels.source }} is down.`,
    description:
      'The source has been down for five minutes. Its events are not observed and cause no findings. The status page and the log of the daemon show the reason.',
    hasDaemon: true,
  },
  TidewatchEventGap: {
    severity: 'warning',
    // The counter is 0 when the daemon starts and may be 1 before the first scrape.
    expr: `increase(tidewatch_docker_event_gaps_total[15m]) > 0
or (tidewatch_docker_event_gaps_total > 0 and on (job, instance) time() - process_start_time_seconds < 900)
`,
    summary: `${at} missed Docker events.`,
    description:
      'The engine buffers its last 256 events; more than that occurred while the daemon was down or too slow. Containers and execs of that time may be missing. Check why the daemon was down, or whether it gets enough CPU.',
    hasDaemon: true,
  },
  TidewatchDetectorFailing: {
    severity: 'warning',
    expr: 'increase(tidewatch_detector_errors_total[15m]) > 0',
    summary: `${at}: the detector {{ $labels.detector }} failed and was restarted.`,
    description:
      'Its in-memory state was lost and it may have missed findings. This is a bug: report it with the error from the log. If it recurs, check which container triggers it.',
    hasDaemon: true,
  },
  TidewatchNotificationsFailing: {
    severity: 'critical',
    expr: `increase(tidewatch_notifications_total{outcome="failed"}[10m]) > 0
and on (job, instance, receiver) tidewatch_notification_queue_length > 0
`,
    for: '10m',
    summary: `${at} cannot deliver findings to {{ $labels.receiver }}.`,
    description:
      'Deliveries have failed for ten minutes and findings are queued. They are retried for one day. Check that the receiver is up, and its URL, TLS settings and credentials.',
    hasDaemon: true,
  },
  TidewatchNotificationsLost: {
    severity: 'critical',
    expr: 'sum by (job, instance, receiver, outcome) (increase(tidewatch_notifications_total{outcome=~"rejected|expired"}[15m])) > 0',
    summary: `${at}: findings for {{ $labels.receiver }} were dropped ({{ $labels.outcome }}).`,
    description:
      'The receiver rejected them, or they could not be delivered for one day. They will not be sent again, but are still stored: list them with tidewatch findings, and check the URL of the receiver.',
    hasDaemon: true,
  },
  TidewatchClockSkew: {
    severity: 'warning',
    expr: 'abs(tidewatch_receiver_clock_skew_seconds) > 30',
    for: '10m',
    summary: `${at}: its clock and that of {{ $labels.receiver }} differ by more than 30 s.`,
    description:
      'One of the two clocks is wrong. The times of alerts are corrected for Alertmanager, but those in findings, logs and metrics are not. Check the time synchronisation (NTP) of both hosts.',
    hasDaemon: true,
  },
  TidewatchReloadFailed: {
    severity: 'warning',
    expr: 'tidewatch_config_last_reload_successful == 0',
    for: '5m',
    summary: `${at} failed to load its new configuration.`,
    description:
      'The configuration on disk is invalid. The daemon continues with the previous one, but would fail to start again. List all errors with tidewatch check-config FILE, fix them and reload the daemon.',
    hasDaemon: true,
  },
  TidewatchRestarting: {
    severity: 'warning',
    expr: 'changes(process_start_time_seconds[30m]) > 2 and on (job, instance) tidewatch_build_info',
    summary: `${at} restarted at least three times in 30 minutes.`,
    description:
      'It crashes or something kills it, and it misses events during each restart. Find the reason in the log: journalctl -u tidewatch.',
    hasDaemon: true,
  },
  TidewatchStoreDown: {
    severity: 'warning',
    expr: 'tidewatch_store_up == 0',
    for: '5m',
    summary: `${at} stores findings only in memory.`,
    description:
      'The state directory is full, read-only, locked or missing. A crash would lose all undelivered findings. Free disk space or fix the directory; the daemon then returns to it by itself.',
    hasDaemon: true,
  },
  TidewatchFindingsLost: {
    severity: 'critical',
    expr: 'increase(tidewatch_store_findings_lost_total[15m]) > 0',
    summary: `${at} lost findings because it could not store them.`,
    description:
      'The state directory is unusable and the memory buffer is full, so the oldest findings were discarded. Fix the state directory; search the log for the lost findings.',
    hasDaemon: true,
  },
  TidewatchWatchdog: {
    severity: 'none',
    expr: 'count(up{job="tidewatch"} == 1) > 0',
    summary: 'Always firing: at least one daemon is up, Prometheus scrapes it, and alerts are delivered.',
    description:
      'This is a dead man’s switch. Route it to a service that raises an alarm when it stops arriving. {{ $value }} daemons are up.',
    hasDaemon: false,
  },
}

/** The health alerts as one group. */
export function healthGroups(): RuleGroup[] {
  const rules = Object.entries(healthAlerts).map(([name, alert]) => healthRule(name, alert))
  return [{ name: 'tidewatch-health', rules }]
}

function healthRule(name: string, alert: HealthAlert): AlertingRule {
  const { severity, expr, summary, description, hasDaemon } = alert
  const link = hasDaemon ? { runbook_url: scrapedRunbookUrl(name) } : {}
  return {
    alert: name,
    expr,
    ...(alert.for !== undefined && { for: alert.for }),
    labels: { severity },
    annotations: { summary, description, ...link },
  }
}
