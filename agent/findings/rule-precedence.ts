import type { DetectorConfig } from '../config/detectors-schema.ts'
import type { Detector } from '../model/detector.ts'
import { type Detection, type Rule, severities } from '../model/finding.ts'

/** The matching rules that are enabled, most severe first. One event makes one finding: the first rule's. */
export function enabledRules(
  detector: Detector,
  { rule, also = [] }: Detection,
  config: DetectorConfig,
): string[] {
  if (!config.enabled) return []
  if (also.length === 0) return config.rules[rule]?.enabled === false ? [] : [rule]
  const severityOf = (name: string) =>
    severities.indexOf(config.rules[name]?.severity ?? ruleOf(detector, name).severity)
  return [rule, ...also]
    .filter((name) => config.rules[name]?.enabled !== false)
    .toSorted((a, b) => severityOf(b) - severityOf(a))
}

/** Throws if the detector does not have the rule, which is a bug in the detector. */
export function ruleOf(detector: Detector, rule: string): Rule {
  const found = detector.rules[rule]
  if (found === undefined) throw new Error(`the detector ${detector.name} has no rule ${rule}`)
  return found
}
