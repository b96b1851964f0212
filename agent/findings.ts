import type { DetectorConfig } from './config/detectors-schema.ts'
import { evidenceOf, summaryOf } from './evidence.ts'
import { type Conditions, type ConditionsOptions, createConditions } from './findings/conditions.ts'
import { judge, type Publication } from './findings/publication.ts'
import { isoTime } from './iso-time.ts'
import type { Detector } from './model/detector.ts'
import { type Detection, type Finding, findingContainer, fingerprintOf, severities } from './model/finding.ts'
import type { Redactor } from './policy/redact.ts'
import { rememberingLast } from './policy/remembering.ts'

export type FindingsOptions = ConditionsOptions & {
  host: string
  /** Masks secrets before anything else sees the finding. */
  redact: Redactor
  /** The finding of an act that was told before, in this run or an earlier one. */
  findByAct: (rule: string, act: string) => Finding | null
}

/** Makes findings of detections, and keeps the conditions that are firing. */
export type Findings = Omit<Conditions, 'found'> & {
  /** Null when the rules are off, or a condition ended that was not firing. */
  from(detector: Detector, detection: Detection): Publication | null
}

/** The one place where detections get host, ids, times, severity and bounds, and where the policy is asked. */
export function createFindings(options: FindingsOptions): Findings {
  const { host, now, newId, configOf, allowedBy, redact, findByAct } = options
  const { found, ...conditions } = createConditions(options)
  const [textOfTime, textOfNow] = [rememberingLast(isoTime), rememberingLast(isoTime)]

  function begin(detector: Detector, detection: Detection, rule: string, also: readonly string[]): Finding {
    const time = textOfTime(detection.time)
    const table = ruleOf(detector, rule)
    const { rules } = configOf(detector.name, detection.container)
    return {
      id: newId(now()),
      time,
      detected_at: textOfNow(now()),
      detector: detector.name,
      rule,
      severity: rules[rule]?.severity ?? table.severity,
      kind: table.kind,
      state: 'firing',
      summary: summaryOf(detection, redact),
      host,
      container: detection.container === null ? null : findingContainer(detection.container),
      evidence: evidenceOf(detection, also, redact),
      count: 1,
      first_seen: time,
      last_seen: time,
      fingerprint: fingerprintOf(host, { ...detection, rule }),
    }
  }

  /**
   * Under whichever of the rules it was told: severities may have been configured anew since. What was known in an
   * earlier run and is not now stays. Null where the act was never told: what is known of it now comes too late, or its
   * rules were off.
   */
  function complete(detection: Detection, rules: readonly string[]): Publication | null {
    const { act = '', container } = detection
    for (const rule of rules) {
      const before = findByAct(rule, act)
      if (before === null) continue
      const others = rules.filter((name) => name !== rule)
      const told = Object.entries(evidenceOf(detection, others, redact)).filter(
        ([, value]) => value !== undefined,
      )
      const evidence = { ...before.evidence, ...Object.fromEntries(told) }
      const completed = { ...before, summary: summaryOf(detection, redact), evidence }
      return judge(completed, { before, container, act }, allowedBy)
    }
    return null
  }

  return {
    ...conditions,
    from(detector, detection) {
      const { container, act = null } = detection
      const rules = enabledRules(detector, detection, configOf(detector.name, container))
      if (detection.completes) return complete(detection, rules)
      const [rule, ...also] = rules
      if (rule === undefined) return null
      const finding = begin(detector, detection, rule, also)
      if (finding.kind === 'condition') return found(finding, detection)
      return judge(finding, { before: null, container, act }, allowedBy)
    },
  }
}

/** The rules that apply and are on, the most severe first: one act, one finding, and that one speaks. */
function enabledRules(detector: Detector, { rule, also = [] }: Detection, config: DetectorConfig): string[] {
  if (!config.enabled) return []
  if (also.length === 0) return config.rules[rule]?.enabled === false ? [] : [rule]
  const severityOf = (name: string) =>
    severities.indexOf(config.rules[name]?.severity ?? ruleOf(detector, name).severity)
  return [rule, ...also]
    .filter((name) => config.rules[name]?.enabled !== false)
    .toSorted((a, b) => severityOf(b) - severityOf(a))
}

function ruleOf(detector: Detector, rule: string) {
  const found = detector.rules[rule]
  if (found === undefined) throw new Error(`the detector ${detector.name} has no rule ${rule}`)
  return found
}
