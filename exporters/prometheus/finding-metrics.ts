import type { Publication } from '../../agent/findings/publication.ts'
import type { Detector } from '../../agent/model/detector.ts'
import type { DetectorConfig } from '../../agent/config/detectors-schema.ts'
import type { Finding, Severity } from '../../agent/model/finding.ts'
import type { Observation } from '../../agent/model/observation.ts'
import { type FindingLabels, findingLabels, findingSeries } from './finding-series.ts'
import { type Instruments, type Series, sumOf } from './instruments.ts'

export type FindingMetricsOptions = {
  detectors: readonly Detector[]
  configOf: (detector: string) => DetectorConfig
  firing: () => readonly Finding[]
  /** The current name of a container; undefined if it was removed. */
  nameOf: (containerId: string) => string | undefined
  now: () => number
  /** Maximum number of time series about containers; findings use an eighth of them. */
  maxSeries: number
}

/** Findings as counters for alerting rules. */
export function createFindingMetrics(make: Instruments, options: FindingMetricsOptions) {
  const { detectors, configOf, firing, nameOf, now, maxSeries } = options
  const findings = make.counterWithExemplars(
    'tidewatch_findings_total',
    'Findings since the daemon started.',
    ['detector', 'rule', 'severity'],
  )
  const suppressed = make.counter(
    'tidewatch_findings_suppressed_total',
    'Findings that were not reported: allowed by policy, folded into an earlier one, or throttled.',
    ['detector', 'rule', 'reason'],
  )
  // rate() sees no increase in a series that starts at 1, so every rule starts at 0.
  function initializeRules(): void {
    for (const { name: detector } of detectors) {
      const { enabled, rules } = configOf(detector)
      for (const [rule, { enabled: isOn, severity }] of Object.entries(rules)) {
        if (!enabled || !isOn) continue
        findings.count({ detector, rule, severity }, 0)
        for (const reason of suppressionReasons) suppressed.inc({ detector, rule, reason }, 0)
      }
    }
  }
  initializeRules()
  const startedAt = now()
  const latency = make.histogram(
    'tidewatch_detection_latency_seconds',
    'Time from the event to the finding, for events since the daemon started.',
    ['detector'],
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  )

  const series = findingSeries({ nameOf, now, maxSeries: Math.max(1, Math.floor(maxSeries / 8)) })
  make.mirrorTotal(
    'tidewatch_container_findings_total',
    'Findings by container; a series is removed one hour after its last finding.',
    findingLabels,
    series.counts,
  )
  make.mirror(
    'tidewatch_finding_last_timestamp_seconds',
    'Time of the last finding with these labels, Unix time.',
    findingLabels,
    series.times,
  )
  make.mirror('tidewatch_findings_active', 'Conditions that are currently firing.', findingLabels, () =>
    countActive(firing().map(series.labelsOf)),
  )

  return {
    /** Number of findings by severity. */
    async bySeverity(): Promise<Record<Severity, number>> {
      const { values } = await findings.get()
      const sum = (severity: Severity) => sumOf(values, 'severity', severity)
      return { info: sum('info'), warning: sum('warning'), critical: sum('critical') }
    },
    published({ change, finding }: Publication): void {
      const { detector, rule, severity } = finding
      if (finding.state === 'suppressed') {
        if (change !== 'updated') suppressed.inc({ detector, rule, reason: 'allowed' })
        return
      }
      if (change === 'repeated' || change === 'reopened') return series.seenAgain(finding)
      if (change !== 'new' && change !== 'released') return
      findings.count({ detector, rule, severity }, 1, { finding_id: finding.id })
      const time = Date.parse(finding.time)
      // What began while no daemon ran says nothing about how fast this one is.
      if (time >= startedAt) {
        latency.observe({ detector }, Math.max(0, Date.parse(finding.detected_at) - time) / 1_000)
      }
      series.published(finding)
    },
    observed(observation: Observation): void {
      if (observation.kind === 'container') series.observed(observation)
    },
    suppressed: ({ detector, rule }: Finding, reason: SuppressionReason) =>
      suppressed.inc({ detector, rule, reason }),
    configurationChanged: initializeRules,
  }
}

/** Why a finding was not reported. */
export const suppressionReasons = ['allowed', 'folded', 'throttled'] as const
export type SuppressionReason = (typeof suppressionReasons)[number]

/** Counts the conditions of one rule and container in one series. */
function countActive(all: readonly FindingLabels[]): Series<keyof FindingLabels>[] {
  const counts = new Map<string, [FindingLabels, number]>()
  for (const labels of all) {
    const key = JSON.stringify(Object.values(labels))
    counts.set(key, [labels, (counts.get(key)?.[1] ?? 0) + 1])
  }
  return [...counts.values()]
}
