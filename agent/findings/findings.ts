import { evidenceOf, summaryOf } from './bounded-evidence.ts'
import { type Conditions, type ConditionsOptions, createConditions } from './conditions.ts'
import { judge, type Publication } from './publication.ts'
import { enabledRules, ruleOf } from './rule-precedence.ts'
import { type EventOfRule, reportedEvents } from './reported-events.ts'
import { supersedingEvents } from './superseding-rules.ts'
import { isoTime } from '../lib/iso-time.ts'
import type { Detector } from '../model/detector.ts'
import { type Detection, type Finding, findingContainer, fingerprintOf } from '../model/finding.ts'
import type { Redactor } from '../model/redactor.ts'
import { rememberLast } from '../lib/remember-last.ts'

export type FindingsOptions = ConditionsOptions & {
  host: string
  /** Masks secrets before the finding is used anywhere else. */
  redact: Redactor
  /** The stored finding of an event that was reported before, in this run or an earlier one. */
  findByEventKey: (rule: string, eventKey: string) => Finding | null
}

/** Turns detections into findings, and tracks the firing conditions. */
export type Findings = Omit<Conditions, 'update'> & {
  /** Null if the rules are disabled, or a condition ended that was not firing. */
  from(detector: Detector, detection: Detection): Publication | null
  /** Whether an event was reported before, in this run or an earlier one. */
  isReported(event: EventOfRule): boolean
}

/** The one place where detections get host, ids, times, severity and size limits, and where the policy is applied. */
export function createFindings(options: FindingsOptions): Findings {
  const { host, now, newId, configOf, allowedBy, redact, findByEventKey } = options
  const { update, ...conditions } = createConditions(options)
  const reported = reportedEvents(findByEventKey)
  const [formatTime, formatNow] = [rememberLast(isoTime), rememberLast(isoTime)]

  function createFinding(
    detector: Detector,
    detection: Detection,
    rule: string,
    also: readonly string[],
  ): Finding {
    const time = formatTime(detection.time)
    const { severity, kind } = ruleOf(detector, rule)
    const { rules } = configOf(detector.name, detection.container)
    return {
      id: newId(now()),
      time,
      detected_at: formatNow(now()),
      detector: detector.name,
      rule,
      severity: rules[rule]?.severity ?? severity,
      kind,
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
   * Adds details to the finding of an event, under whichever rule reported it: the configured severities may have
   * changed since. Details from an earlier run that are unknown now stay. Null if the event was never reported: the
   * update came too late, or the rules were disabled.
   */
  function applyUpdate(detection: Detection, rules: readonly string[]): Publication | null {
    const { eventKey = '', container } = detection
    for (const rule of rules) {
      const before = findByEventKey(rule, eventKey)
      if (before === null) continue
      const others = rules.filter((name) => name !== rule)
      const added = Object.entries(evidenceOf(detection, others, redact)).filter(
        ([, value]) => value !== undefined,
      )
      const evidence = { ...before.evidence, ...Object.fromEntries(added) }
      const updated = { ...before, summary: summaryOf(detection, redact), evidence }
      return judge(updated, { before, container, eventKey }, allowedBy)
    }
    return null
  }

  return {
    ...conditions,
    isReported: reported.has,
    from(detector, detection) {
      const { container, eventKey = null } = detection
      const rules = enabledRules(detector, detection, configOf(detector.name, container))
      if (detection.isUpdate) return applyUpdate(detection, rules)
      const [rule, ...also] = rules
      if (rule === undefined) return null
      const finding = createFinding(detector, detection, rule, also)
      if (finding.kind === 'condition') return update(finding, detection)
      for (const event of supersedingEvents(detector, detection, rule)) {
        const merged = reported.mergeTarget(event, finding)
        if (merged === null) return null
        if (merged === undefined) continue
        return judge(merged, { before: merged, container, eventKey: event.eventKey }, allowedBy)
      }
      const publication = judge(finding, { before: null, container, eventKey }, allowedBy)
      reported.add(publication)
      return publication
    },
  }
}
