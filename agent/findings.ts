import type { DetectorConfig } from './config/detectors-schema.ts'
import { isoTime } from './iso-time.ts'
import { evidenceOf, summaryOf } from './evidence.ts'
import { type Container, unknownContainer } from './model/container.ts'
import type { Detector } from './model/detector.ts'
import {
  type Detection,
  type Finding,
  findingContainer,
  fingerprintOf,
  type Severity,
  type Suppression,
} from './model/finding.ts'
import type { Redactor } from './policy/redact.ts'
import { enabledRules, ruleOf } from './rules-that-speak.ts'
import { toldActs } from './told-acts.ts'
import { rememberingLast } from './policy/remembering.ts'

/** A finding on its way to the store and the exporters, and what is new about it. */
export type Publication = {
  /** `suppressed` was told and is allowed now; `released` was allowed and is not any more. */
  change: 'new' | 'updated' | 'resolved' | 'suppressed' | 'released'
  finding: Finding
  /** Identifies the act of an event for ever; null for conditions and where there is no such thing. */
  act: string | null
}

export type FindingsOptions = {
  host: string
  now: () => number
  newId: (time: number) => string
  /** What is configured for a detector, in a container; asked for each finding. */
  configOf: (detector: string, container: Container | null) => DetectorConfig
  /** By what a finding is allowed; null where nothing allows it. */
  allowedBy: (finding: Finding, labels: Container['labels']) => Suppression | null
  /** Masks secrets before anything else sees the finding. */
  redact: Redactor
  /** Conditions that were firing when the daemon ended. */
  firing: readonly Finding[]
  /** The finding of an act that was told before, in this run or an earlier one. */
  findByAct: (rule: string, act: string) => Finding | null
}

/** Makes findings of detections, and keeps the conditions that are firing. */
export type Findings = {
  /** Null when the rules are off, or a condition ended that was not firing. */
  from(detector: Detector, detection: Detection): Publication | null
  firing(): readonly Finding[]
  /** Ends the conditions of an earlier run that no detector has confirmed in this one. */
  resolveUnconfirmed(): Publication[]
  /** A detector was started anew: its conditions have to be confirmed. */
  doubt(detector: string): void
  /** What a changed policy or configuration means for the conditions that are known. */
  reconsider(): Publication[]
}

/** A condition that is known, firing or allowed; `container` is as full as it was last seen. */
type Condition = { finding: Finding; container: Container | null }

/** The one place where detections get host, ids, times, severity and bounds, and where the policy is asked. */
export function createFindings(options: FindingsOptions): Findings {
  const { host, now, newId, configOf, allowedBy, redact, firing, findByAct } = options
  const conditions = new Map(firing.map((finding) => [finding.fingerprint, knownBefore(finding)]))
  const unconfirmed = new Set(conditions.keys())
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

  /** Whether a finding is allowed as it is now, and what is new about that. */
  function judge(
    before: Finding | null,
    given: Finding,
    { container, act }: { container: Container | null; act: string | null },
  ): Publication {
    const finding = asFiring(given)
    const suppressed = allowedBy(finding, container?.labels ?? {})
    const wasAllowed = before?.state === 'suppressed'
    if (suppressed !== null) {
      const change = before === null ? 'new' : wasAllowed ? 'updated' : 'suppressed'
      return { change, finding: { ...finding, state: 'suppressed', suppressed }, act }
    }
    const change = before === null ? 'new' : wasAllowed ? 'released' : 'updated'
    return { change, finding, act }
  }

  function fromCondition(finding: Finding, { state, container }: Detection): Publication | null {
    const { fingerprint, summary, evidence, last_seen } = finding
    const known = conditions.get(fingerprint)?.finding
    unconfirmed.delete(fingerprint)
    if (state === 'resolved') {
      conditions.delete(fingerprint)
      return known === undefined ? null : resolve(known, summary, last_seen)
    }
    const next = known === undefined ? finding : { ...known, summary, evidence, last_seen }
    const publication = judge(known ?? null, next, { container, act: null })
    conditions.set(fingerprint, { finding: publication.finding, container })
    return publication
  }

  /**
   * Under whichever of the rules it was told: severities may have been configured anew since. What was known in an
   * earlier run and is not now stays. Null where the act was never told: what is known of it now comes too late, or its
   * rules were off.
   */
  function complete(detection: Detection, rules: readonly string[]): Publication | null {
    const { act = '', container } = detection
    for (const rule of rules) {
      const known = findByAct(rule, act)
      if (known === null) continue
      const others = rules.filter((name) => name !== rule)
      const told = Object.entries(evidenceOf(detection, others, redact)).filter(
        ([, value]) => value !== undefined,
      )
      const evidence = { ...known.evidence, ...Object.fromEntries(told) }
      return judge(known, { ...known, summary: summaryOf(detection, redact), evidence }, { container, act })
    }
    return null
  }

  function isOn({ finding: { detector, rule }, container }: Condition): boolean {
    const { enabled, rules } = configOf(detector, container)
    return enabled && rules[rule]?.enabled !== false
  }

  function severityOf({ finding: { detector, rule, severity }, container }: Condition): Severity {
    return configOf(detector, container).rules[rule]?.severity ?? severity
  }

  /** An alert is known by its severity too: the condition ends as what it was, and begins as what it is now. */
  function graded({ finding, container }: Condition, severity: Severity): Publication[] {
    const time = isoTime(now())
    const isTold = isFiring(finding)
    const next = isTold
      ? { ...finding, id: newId(now()), time, detected_at: time, severity }
      : { ...finding, severity }
    const publication = judge(isTold ? null : finding, next, { container, act: null })
    conditions.set(finding.fingerprint, { finding: publication.finding, container })
    return isTold ? [resolve(finding, finding.summary, time), publication] : [publication]
  }

  return {
    from(detector, detection) {
      const { container } = detection
      const rules = enabledRules(detector, detection, configOf(detector.name, container))
      if (detection.completes) return complete(detection, rules)
      const [rule, ...also] = rules
      if (rule === undefined) return null
      const finding = begin(detector, detection, rule, also)
      if (finding.kind === 'condition') return fromCondition(finding, detection)
      const { partOf } = detection
      const whole = partOf && acts.wholeOf(partOf, finding)
      if (whole === null) return null
      if (whole !== undefined) return judge(whole, whole, { container, act: partOf?.act ?? null })
      const publication = judge(null, finding, { container, act: detection.act ?? null })
      acts.add(publication)
      return publication
    },
    firing: () => [...conditions.values()].map(({ finding }) => finding).filter(isFiring),
    resolveUnconfirmed() {
      const publications: Publication[] = []
      for (const fingerprint of unconfirmed) {
        const known = conditions.get(fingerprint)?.finding
        conditions.delete(fingerprint)
        if (known !== undefined) publications.push(resolve(known, known.summary, isoTime(now())))
      }
      unconfirmed.clear()
      return publications
    },
    doubt(detector) {
      for (const [fingerprint, { finding }] of conditions)
        if (finding.detector === detector) unconfirmed.add(fingerprint)
    },
    reconsider() {
      const publications: Publication[] = []
      for (const [fingerprint, condition] of conditions) {
        const { finding, container } = condition
        if (!isOn(condition)) {
          conditions.delete(fingerprint)
          publications.push(resolve(finding, finding.summary, isoTime(now())))
          continue
        }
        const severity = severityOf(condition)
        // Of what an earlier run left it is known only when it was confirmed what is configured for its container.
        if (severity !== finding.severity && !unconfirmed.has(fingerprint)) {
          publications.push(...graded(condition, severity))
          continue
        }
        const publication = judge(finding, finding, { container, act: null })
        if (publication.change === 'updated') continue
        conditions.set(fingerprint, { finding: publication.finding, container })
        publications.push(publication)
      }
      return publications
    },
  }
}

/** As it would be if nothing allowed it. */
function asFiring(finding: Finding): Finding {
  if (finding.state === 'firing' && finding.suppressed === undefined) return finding
  const { suppressed: _suppressed, ...rest } = finding
  return { ...rest, state: 'firing' }
}

function isFiring({ state }: Finding): boolean {
  return state === 'firing'
}

/** Of what an earlier run left, no more is known than what the finding says. */
function knownBefore(finding: Finding): Condition {
  const { container } = finding
  if (container === null) return { finding, container }
  return { finding, container: unknownContainer(container.id, container.name, container.image) }
}

/** What was allowed stays so when it ends: nobody was told of it. */
function resolve(known: Finding, summary: string, last_seen: string): Publication {
  if (!isFiring(known)) return { change: 'updated', finding: { ...known, summary, last_seen }, act: null }
  return { change: 'resolved', finding: { ...known, state: 'resolved', summary, last_seen }, act: null }
}
