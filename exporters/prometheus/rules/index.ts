import type { Detector } from '../../../agent/model/detector.ts'
import { findingAlerts } from './finding-alerts.ts'
import { healthGroups } from './health-alerts.ts'
import { recordingGroups } from './recording.ts'
import type { RuleFile } from './rule-file.ts'

/** The shipped rule files, generated from the rules of the detectors and the table of health alerts. */
export function ruleFiles(detectors: readonly Detector[]): RuleFile[] {
  return [
    {
      name: 'tidewatch-health.yml',
      about:
        'Alerts on the health of tidewatch, for every site. The scrape job must be named tidewatch.\nRoute TidewatchWatchdog to a dead man’s switch.',
      groups: [
        ...healthGroups(),
        ...findingAlerts(detectors.filter(({ isAboutTidewatch }) => isAboutTidewatch)),
      ],
    },
    {
      name: 'tidewatch-findings.yml',
      about:
        'Alerts on findings, for sites where the daemon does not push to Alertmanager; they stay silent for a daemon that does.\nThe clocks of Prometheus and the hosts must agree within minutes.',
      groups: findingAlerts(detectors.filter(({ isAboutTidewatch }) => !isAboutTidewatch)),
    },
    {
      name: 'tidewatch-recording.yml',
      about: 'Recording rules for the dashboards.',
      groups: recordingGroups(),
    },
  ]
}
