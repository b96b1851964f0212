import { evidenceOf, summaryOf } from './bounded-evidence.ts'
import { type Conditions, type ConditionsOptions, createConditions } from './conditions.ts'
import { judge, type Publication } from './publication.ts'
import { enabledRules, ruleOf } from './rule-precedence.ts'
import { toldActs } from './reported-events.ts'
import { isoTime } from '../lib/iso-time.ts'
import type { Detector } from '../model/detector.ts'
import { type Detection, type Finding, findingContainer, fingerprintOf } from '../model/finding.ts'
import type { Redactor } from '../model/redactor.ts'
import { rememberingLast } from '../lib/remember-last.ts'

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
  const acts = toldActs(findByAct)
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
      const { partOf } = detection
      const whole = partOf && acts.wholeOf(partOf, finding)
      if (whole === null) return null
      if (whole !== undefined) {
        const circumstances = { before: whole, container, act: partOf?.act ?? null }
        return judge(whole, circumstances, allowedBy)
      }
      const publication = judge(finding, { before: null, container, act }, allowedBy)
      acts.add(publication)
      return publication
    },
  }
}
