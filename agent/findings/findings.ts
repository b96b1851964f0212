import { evidenceOf, summaryOf } from './bounded-evidence.ts'
import { type Conditions, type ConditionsOptions, createConditions } from './conditions.ts'
import { fingerprintOf } from './fingerprint.ts'
import { legacySubject } from './legacy-conditions.ts'
import { type Act, isFiring, judge, type Publication } from './publication.ts'
import { enabledRules, ruleOf } from './rule-precedence.ts'
import { type EventOfRule, reportedEvents } from './reported-events.ts'
import { supersedingEvents } from './superseding-rules.ts'
import { isoTime } from '../lib/iso-time.ts'
import type { Detector } from '../model/detector.ts'
import { clip, printable } from '../lib/text.ts'
import { type Detection, type Finding, findingContainer } from '../model/finding.ts'
import type { Redactor } from '../model/redactor.ts'
import { rememberLast } from '../lib/remember-last.ts'

export type FindingsOptions = Omit<ConditionsOptions, 'firing' | 'ended'> & {
  host: string
  /** Distinguishes hosts of one name. */
  hostId: string
  /** Conditions that were firing when the previous run ended. */
  firing: readonly Finding[]
  /** Conditions that ended a short time ago, oldest first. */
  ended: readonly Finding[]
  /** Masks secrets before the finding is used anywhere else. */
  redact: Redactor
  /** The stored finding of an event that was reported before, in this run or an earlier one. */
  findByEventKey: (rule: string, eventKey: string) => Finding | null
}

/** Turns detections into findings, and tracks the firing conditions. */
export type Findings = Omit<Conditions, 'update'> & {
  /** None if the rules are disabled, or a condition ended that was not firing. */
  from(detector: Detector, detection: Detection): Publication[]
  /** Whether an event was reported before, in this run or an earlier one. */
  isReported(event: EventOfRule): boolean
}

/** The one place where detections get host, ids, times, severity and size limits, and where the policy is applied. */
export function createFindings(options: FindingsOptions): Findings {
  const { host, hostId, now, newId, configOf, allowedBy, redact, findByEventKey, firing, ended } = options
  const stored = (finding: Finding) => ({ key: keyOf(finding, options), finding })
  const { update, ...conditions } = createConditions({
    ...{ now, newId, configOf, allowedBy },
    firing: firing.map(stored),
    ended: ended.map(stored),
  })
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
      last_seen: detection.lastSeen === undefined ? time : isoTime(detection.lastSeen),
      resolved_at: null,
      resolution: null,
      fingerprint: fingerprintOf(hostId, kind, { ...detection, rule }, redact),
    }
  }

  function actOf({ subject, actor = '' }: Detection, fingerprint: string, isLateUpdate = false): Act {
    const readable = (text: string) => printable(clip(redact.text(text), maxActText))
    return { fingerprint, program: readable(subject[0] ?? ''), actor: readable(actor), isLateUpdate }
  }

  /**
   * Adds details to the finding of an event, under whichever rule reported it: the configured severities may have
   * changed since. Details from an earlier run that are unknown now stay. Null if the event has no finding: it was
   * taken for a repeat, the update came too late, or the rules were disabled.
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
      const publication = judge(updated, { before, container, eventKey }, allowedBy)
      const fingerprint = fingerprintOf(hostId, 'event', { ...detection, rule }, redact)
      const isCorrected =
        detection.isCorrection &&
        publication.change === 'updated' &&
        isFiring(publication.finding) &&
        updated.summary !== before.summary
      return {
        ...publication,
        change: isCorrected ? 'corrected' : publication.change,
        act: actOf(detection, fingerprint),
      }
    }
    return null
  }

  function newEvent(finding: Finding, detection: Detection, isLateUpdate: boolean): Publication {
    const { container, eventKey = null } = detection
    const publication = judge(finding, { before: null, container, eventKey }, allowedBy)
    return { ...publication, act: actOf(detection, finding.fingerprint, isLateUpdate) }
  }

  return {
    ...conditions,
    isReported: reported.has,
    from(detector, detection) {
      const { container, isUpdate = false } = detection
      const rules = enabledRules(detector, detection, configOf(detector.name, container))
      const updated = isUpdate ? applyUpdate(detection, rules) : null
      if (updated !== null) return [updated]
      const [rule, ...also] = rules
      if (rule === undefined) return []
      const finding = createFinding(detector, detection, rule, also)
      if (finding.kind === 'condition') return update(finding, detection)
      if (isUpdate) return [newEvent(finding, detection, true)]
      for (const event of supersedingEvents(detector, detection, rule)) {
        const merged = reported.mergeTarget(event, finding)
        if (merged === null) return []
        if (merged === undefined) continue
        return [judge(merged, { before: merged, container, eventKey: event.eventKey }, allowedBy)]
      }
      const publication = newEvent(finding, detection, false)
      reported.add(publication)
      return [publication]
    },
  }
}

const maxActText = 160

/** The fingerprint that this version gives a stored condition. */
function keyOf(finding: Finding, { hostId, redact }: Pick<FindingsOptions, 'hostId' | 'redact'>): string {
  const { kind, rule, container } = finding
  const subject = legacySubject(finding)
  return subject === null
    ? finding.fingerprint
    : fingerprintOf(hostId, kind, { rule, container, subject }, redact)
}
