import type { Detector } from '../../../agent/model/detector.ts'
import { findingAlerts } from './finding-alerts.ts'
import { healthGroups } from './health-alerts.ts'
import { recordingGroups } from './recording.ts'
import type { RuleFile } from './rule-file.ts'

/** The rule files that are shipped, made from the tables of the detectors and of the daemon's health. */
export function ruleFiles(detectors: readonly Detector[]): RuleFile[] {
  return [
    {
      name: 'tidewatch-health.yml',
      about:
        'Alerts on the health of tidewatch, for every site. The scrape job has to be named tidewatch.\nRoute TidewatchWatchdog to a dead-man’s switch.',
      groups: [
        ...healthGroups(),
        ...findingAlerts(detectors.filter(({ isAboutTidewatch }) => isAboutTidewatch)),
      ],
    },
    {
      name: 'tidewatch-findings.yml',
      about:
        'Alerts on findings, for sites where the daemon does not push to Alertmanager; silent for a daemon that does.\nThe clocks of Prometheus and of the hosts must agree to within minutes.',
      groups: findingAlerts(detectors.filter(({ isAboutTidewatch }) => !isAboutTidewatch)),
    },
    {
      name: 'tidewatch-recording.yml',
      about: 'Recorded series for the dashboards.',
      groups: recordingGroups(),
    },
  ]
}
