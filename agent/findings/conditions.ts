import type { DetectorConfig } from '../config/detectors-schema.ts'
import { isoTime } from '../lib/iso-time.ts'
import { type Container, unknownContainer } from '../model/container.ts'
import type { Detection, Finding, Severity } from '../model/finding.ts'
import { type AllowedBy, isFiring, judge, type Publication, resolve } from './publication.ts'

export type ConditionsOptions = {
  /** Epoch milliseconds. */
  now: () => number
  newId: (time: number) => string
  /** What is configured for a detector, in a container. */
  configOf: (detector: string, container: Container | null) => DetectorConfig
  allowedBy: AllowedBy
  /** Those that were firing when the daemon ended. */
  firing: readonly Finding[]
}

/** The conditions that are known, firing or allowed. */
export type Conditions = {
  /** What is found of one now; null where it ended and was not known. */
  found(finding: Finding, detection: Pick<Detection, 'state' | 'container'>): Publication | null
  firing(): readonly Finding[]
  /** Ends those of an earlier run that no detector has confirmed in this one. */
  resolveUnconfirmed(): Publication[]
  /** A detector was started anew: what it had found has to be confirmed. */
  doubt(detector: string): void
  /** What a changed policy or configuration means for those that are known. */
  reconsider(): Publication[]
}

/** `container` is as full as it was last seen. */
type Condition = { finding: Finding; container: Container | null }

/** Begins with those of an earlier run, which have to be confirmed. */
export function createConditions(options: ConditionsOptions): Conditions {
  const { now, newId, configOf, allowedBy, firing } = options
  const known = new Map(firing.map((finding) => [finding.fingerprint, knownBefore(finding)]))
  const unconfirmed = new Set(known.keys())

  /** Judges it as it is now, and knows it as that. */
  function put(finding: Finding, before: Finding | null, container: Container | null): Publication {
    const publication = judge(finding, { before, container, act: null }, allowedBy)
    known.set(finding.fingerprint, { finding: publication.finding, container })
    return publication
  }

  function end({ finding }: Condition, summary: string, lastSeen: string): Publication {
    known.delete(finding.fingerprint)
    return resolve(finding, summary, lastSeen)
  }

  /** By the daemon's own judgement, and not because its end was seen. */
  function endNow(condition: Condition): Publication {
    return end(condition, condition.finding.summary, isoTime(now()))
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
    if (!isFiring(finding)) return [put({ ...finding, severity }, finding, container)]
    const time = isoTime(now())
    const begun = { ...finding, id: newId(now()), time, detected_at: time, severity }
    return [resolve(finding, finding.summary, time), put(begun, null, container)]
  }

  function reconsidered(condition: Condition): Publication[] {
    const { finding, container } = condition
    if (!isOn(condition)) return [endNow(condition)]
    const severity = severityOf(condition)
    // Of what an earlier run left it is known only when it was confirmed what is configured for its container.
    if (severity !== finding.severity && !unconfirmed.has(finding.fingerprint)) {
      return graded(condition, severity)
    }
    const publication = put(finding, finding, container)
    return publication.change === 'updated' ? [] : [publication]
  }

  return {
    found(finding, { state, container }) {
      const { fingerprint, summary, evidence, last_seen } = finding
      const before = known.get(fingerprint)
      unconfirmed.delete(fingerprint)
      if (state === 'resolved') return before === undefined ? null : end(before, summary, last_seen)
      if (before === undefined) return put(finding, null, container)
      return put({ ...before.finding, summary, evidence, last_seen }, before.finding, container)
    },
    firing: () => [...known.values()].map(({ finding }) => finding).filter(isFiring),
    resolveUnconfirmed() {
      const left = [...unconfirmed].map((fingerprint) => known.get(fingerprint))
      unconfirmed.clear()
      return left.filter((condition) => condition !== undefined).map(endNow)
    },
    doubt(detector) {
      for (const [fingerprint, { finding }] of known)
        if (finding.detector === detector) unconfirmed.add(fingerprint)
    },
    reconsider: () => [...known.values()].flatMap(reconsidered),
  }
}

/** Of what an earlier run left, no more is known than what the finding says. */
function knownBefore(finding: Finding): Condition {
  const { container } = finding
  if (container === null) return { finding, container }
  return { finding, container: unknownContainer(container.id, container.name, container.image) }
}
