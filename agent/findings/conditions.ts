import type { DetectorConfig } from '../config/detectors-schema.ts'
import { isoTime } from '../lib/iso-time.ts'
import { type Container, unknownContainer } from '../model/container.ts'
import type { Detection, Finding, Severity } from '../model/finding.ts'
import { type AllowedBy, isFiring, judge, type Publication, resolve } from './publication.ts'

export type ConditionsOptions = {
  /** Epoch milliseconds. */
  now: () => number
  newId: (time: number) => string
  /** The configuration of a detector for a container. */
  configOf: (detector: string, container: Container | null) => DetectorConfig
  allowedBy: AllowedBy
  /** Conditions that were firing when the previous run ended. */
  firing: readonly Finding[]
}

/** The known conditions, firing or suppressed. */
export type Conditions = {
  /** Records the current state of a condition; null if an unknown condition resolved. */
  update(finding: Finding, detection: Pick<Detection, 'state' | 'container'>): Publication | null
  firing(): readonly Finding[]
  /** Resolves conditions of an earlier run that no detector has confirmed in this run. */
  resolveUnconfirmed(): Publication[]
  /** Call when a detector restarts: its conditions must be confirmed again. */
  markUnconfirmed(detector: string): void
  /** Applies a changed policy or configuration to the known conditions. */
  reconsider(): Publication[]
}

/** `container` has the details that were last reported. */
type Condition = { finding: Finding; container: Container | null }

/** Starts with the conditions of an earlier run, which must be confirmed. */
export function createConditions(options: ConditionsOptions): Conditions {
  const { now, newId, configOf, allowedBy, firing } = options
  const known = new Map(firing.map((finding) => [finding.fingerprint, knownBefore(finding)]))
  const unconfirmed = new Set(known.keys())

  /** Applies the policy to the condition and stores the result. */
  function put(finding: Finding, before: Finding | null, container: Container | null): Publication {
    const publication = judge(finding, { before, container, eventKey: null }, allowedBy)
    known.set(finding.fingerprint, { finding: publication.finding, container })
    return publication
  }

  function end({ finding }: Condition, summary: string, lastSeen: string): Publication {
    known.delete(finding.fingerprint)
    return resolve(finding, summary, lastSeen)
  }

  /** Ends a condition although no detector reported its end. */
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

  /** Severity is part of an alert's identity: the condition ends with the old severity and starts with the new one. */
  function withSeverity({ finding, container }: Condition, severity: Severity): Publication[] {
    if (!isFiring(finding)) return [put({ ...finding, severity }, finding, container)]
    const time = isoTime(now())
    const restarted = { ...finding, id: newId(now()), time, detected_at: time, severity }
    return [resolve(finding, finding.summary, time), put(restarted, null, container)]
  }

  function reconsidered(condition: Condition): Publication[] {
    const { finding, container } = condition
    if (!isOn(condition)) return [endNow(condition)]
    const severity = severityOf(condition)
    // Until it is confirmed, a condition of an earlier run lacks the container data that selects its configuration.
    if (severity !== finding.severity && !unconfirmed.has(finding.fingerprint)) {
      return withSeverity(condition, severity)
    }
    const publication = put(finding, finding, container)
    return publication.change === 'updated' ? [] : [publication]
  }

  return {
    update(finding, { state, container }) {
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
    markUnconfirmed(detector) {
      for (const [fingerprint, { finding }] of known)
        if (finding.detector === detector) unconfirmed.add(fingerprint)
    },
    reconsider: () => [...known.values()].flatMap(reconsidered),
  }
}

/** A condition of an earlier run: only what its finding contains is known. */
function knownBefore(finding: Finding): Condition {
  const { container } = finding
  if (container === null) return { finding, container }
  return { finding, container: unknownContainer(container.id, container.name, container.image) }
}
