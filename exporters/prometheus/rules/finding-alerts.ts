import type { Detector } from '../../../agent/model/detector.ts'
import type { Rule } from '../../../agent/model/finding.ts'
import { alertName, holdMs } from '../../alertmanager/alert.ts'
import { runbookUrl } from '../../runbooks.ts'
import type { AlertingRule, RuleGroup } from './rule-file.ts'

/** An alert for every rule of every detector, for sites where the daemon does not push to Alertmanager itself. */
export function findingAlerts(detectors: readonly Detector[]): RuleGroup[] {
  return detectors.map(({ name, rules }) => ({
    name: `tidewatch-${name}`,
    rules: Object.entries(rules).map(([rule, its]) => findingAlert(name, rule, its)),
  }))
}

/** Named and labelled as the daemon's own alerts are, so that routes and silences fit both. */
export function findingAlert(detector: string, rule: string, { kind, summary, remedy }: Rule): AlertingRule {
  const name = alertName(rule)
  return {
    alert: name,
    expr: `${kind === 'event' ? eventFired(detector, rule) : conditionFires(detector, rule)}\n${unlessPushed}\n`,
    // Detector, rule, severity, container and image are labels of the series.
    labels: { host: '{{ reReplaceAll ":[0-9]+$" "" $labels.instance }}' },
    annotations: {
      summary: `{{ with $labels.container }}container {{ . }}{{ else }}the host{{ end }} on {{ $labels.instance }}: ${summary}`,
      description: `${summary} ${remedy} What was seen: tidewatch findings --detector ${detector}, on the host.`,
      runbook_url: runbookUrl(name),
    },
  }
}

// A gauge of the last time, and not an increase: increase() does not see a series that is born at 1. Read back over
// the time an event is held, so that a restart of the daemon does not end the alert.
function eventFired(detector: string, rule: string): string {
  const held = `${holdMs / 60_000}m`
  const series = `tidewatch_finding_last_timestamp_seconds{${matchers(detector, rule)}}`
  return `time() - last_over_time(${series}[${held}]) < ${holdMs / 1_000}`
}

function conditionFires(detector: string, rule: string): string {
  return `tidewatch_findings_active{${matchers(detector, rule)}} > 0`
}

// Severity as it is configured: what is made info there is not alerted of, what is raised from info is.
function matchers(detector: string, rule: string): string {
  return `detector="${detector}",rule="${rule}",severity!="info"`
}

// A daemon that pushes has told Alertmanager already; one act is one alert.
const unlessPushed =
  'unless on (job, instance) tidewatch_notification_queue_length{receiver=~"alertmanager/.+"}'
