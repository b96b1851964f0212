import type { Detector } from '../../../agent/model/detector.ts'
import type { Rule } from '../../../agent/model/finding.ts'
import { alertName, holdMs } from '../../alertmanager/alert.ts'
import { scrapedRunbookUrl } from '../../runbooks.ts'
import type { AlertingRule, RuleGroup } from './rule-file.ts'

/** One alert for every rule of every detector, for sites where the daemon does not push to Alertmanager itself. */
export function findingAlerts(detectors: readonly Detector[]): RuleGroup[] {
  return detectors.map(({ name, rules }) => ({
    name: `tidewatch-${name}`,
    rules: Object.entries(rules).map(([rule, its]) => findingAlert(name, rule, its)),
  }))
}

/** Uses the same name and labels as the alerts that the daemon pushes, so that routes and silences apply to both. */
export function findingAlert(
  detector: string,
  rule: string,
  { kind, technique, summary, remedy }: Rule,
): AlertingRule {
  const name = alertName(rule)
  return {
    alert: name,
    expr: `${kind === 'event' ? eventFired(detector, rule) : conditionFires(detector, rule)}\n${unlessPushed}\n`,
    // Detector, rule, severity, container and image are labels of the series.
    labels: { host: '{{ reReplaceAll ":[0-9]+$" "" $labels.instance }}' },
    annotations: {
      summary: `{{ with $labels.container }}container {{ . }}{{ else }}the host{{ end }} on {{ $labels.instance }}: ${summary}`,
      description: `${summary} What to do: ${remedy} For details run on the host: tidewatch findings --detector ${detector}`,
      ...(technique !== undefined && { technique }),
      runbook_url: scrapedRunbookUrl(name),
    },
  }
}

// Uses the timestamp of the last finding: increase() misses the first sample of a new series. Looking back over the
// hold time keeps the alert firing through a restart of the daemon.
function eventFired(detector: string, rule: string): string {
  const hold = `${holdMs / 60_000}m`
  const series = `tidewatch_finding_last_timestamp_seconds{${matchers(detector, rule)}}`
  return `time() - last_over_time(${series}[${hold}]) < ${holdMs / 1_000}`
}

function conditionFires(detector: string, rule: string): string {
  return `tidewatch_findings_active{${matchers(detector, rule)}} > 0`
}

// This is the configured severity: rules lowered to info do not alert, rules raised from info do.
function matchers(detector: string, rule: string): string {
  return `detector="${detector}",rule="${rule}",severity!="info"`
}

// A daemon that pushes has sent the alert to Alertmanager already; this prevents a duplicate.
const unlessPushed =
  'unless on (job, instance) tidewatch_notification_queue_length{receiver=~"alertmanager/.+"}'
