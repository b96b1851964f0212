import type { DetectorConfig } from '../config/detectors-schema.ts'
import { BoundedMap } from '../lib/bounded-map.ts'
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
  firing: readonly StoredCondition[]
  /** Conditions that ended a short time ago, oldest first. */
  ended: readonly StoredCondition[]
}

/** A condition of an earlier run; `key` is the fingerprint that this version gives it. */
export type StoredCondition = { key: string; finding: Finding }

/** The known conditions, firing or suppressed. */
export type Conditions = {
  /** Records the current state of a condition; nothing if an unknown condition resolved. */
  update(finding: Finding, detection: Pick<Detection, 'state' | 'container'>): Publication[]
  firing(): readonly Finding[]
  /** Those that have not ended: the firing and the suppressed ones. */
  open(): readonly Finding[]
  /** Moves the conditions of a container to its current name. */
  renamed(container: Container): Publication[]
  /** Resolves conditions of an earlier run that no detector has confirmed in this run. */
  resolveUnconfirmed(): Publication[]
  /** Call when a detector restarts: its conditions must be confirmed again. */
  markUnconfirmed(detector: string): void
  /** Applies a changed policy or configuration to the known conditions. */
  reconsider(): Publication[]
}

/** A condition that returns within this time continues its previous finding. */
export const reopenMs = 15 * 60_000

const maxEnded = 10_000

/** `container` has the details that were last reported. */
type Condition = { key: string; finding: Finding; container: Container | null }

/** Starts with the conditions of an earlier run, which must be confirmed. */
export function createConditions(options: ConditionsOptions): Conditions {
  const { now, newId, configOf, allowedBy, firing, ended: endedBefore } = options
  const known = new Map(firing.map((condition) => [condition.key, knownBefore(condition)]))
  const unconfirmed = new Set(known.keys())
  const ended = new BoundedMap<string, Finding>(maxEnded)
  for (const { key, finding } of endedBefore) ended.setNewest(key, finding)

  /** Applies the policy to the condition and stores the result. */
  function put({ key, finding, container }: Condition, before: Finding | null): Publication {
    const publication = judge(finding, { before, container, eventKey: null }, allowedBy)
    known.set(key, { key, finding: publication.finding, container })
    return publication
  }

  function end({ key, finding }: Condition, resolution: string, time: string): Publication {
    known.delete(key)
    const publication = resolve(finding, resolution, time)
    if (publication.change === 'resolved') ended.setNewest(key, publication.finding)
    return publication
  }

  /** Ends a condition although no detector reported its end. */
  function endNow(condition: Condition, resolution: string): Publication {
    return end(condition, resolution, isoTime(now()))
  }

  /** A new condition, or one that ended a short time ago and has the same alert. */
  function start(condition: Condition): Publication {
    const { key, finding } = condition
    const earlier = ended.get(key)
    ended.delete(key)
    if (earlier === undefined || !isContinuation(earlier, finding)) return put(condition, null)
    const { summary, evidence, last_seen } = finding
    const times = { last_seen, resolved_at: null, resolution: null }
    const again = { ...earlier, summary, evidence, ...times, count: earlier.count + 1 }
    const publication = put({ ...condition, finding: again }, earlier)
    // Receivers know that it ended, so it is no news for them that it is allowed now.
    return { ...publication, change: isFiring(publication.finding) ? 'reopened' : 'updated' }
  }

  function isContinuation(earlier: Finding, finding: Finding): boolean {
    return (
      now() - Date.parse(earlier.resolved_at ?? '') < reopenMs &&
      earlier.severity === finding.severity &&
      earlier.container?.name === finding.container?.name
    )
  }

  function isOn({ finding: { detector, rule }, container }: Condition): boolean {
    const { enabled, rules } = configOf(detector, container)
    return enabled && rules[rule]?.enabled !== false
  }

  function severityOf({ finding: { detector, rule, severity }, container }: Condition): Severity {
    return configOf(detector, container).rules[rule]?.severity ?? severity
  }

  /** Some fields are part of an alert's identity: the condition ends with the old value and starts with the new one. */
  function restart(
    { key, finding, container }: Condition,
    changed: Partial<Pick<Finding, 'severity' | 'container' | 'summary'>>,
    reason: string,
  ): Publication[] {
    if (!isFiring(finding)) return [put({ key, finding: { ...finding, ...changed }, container }, finding)]
    const time = isoTime(now())
    const own = { id: newId(now()), time, detected_at: time, fingerprint: key }
    const restarted = { ...finding, ...changed, ...own }
    return [resolve(finding, reason, time), put({ key, finding: restarted, container }, null)]
  }

  function rename(condition: Condition, container: Container): Publication[] {
    const { finding } = condition
    if (finding.container === null || finding.container.name === container.name) return []
    const renamed = {
      container: { ...finding.container, name: container.name },
      summary: replaceName(finding.summary, finding.container.name, container.name),
    }
    return restart({ ...condition, container }, renamed, `the container was renamed to ${container.name}`)
  }

  function reconsidered(condition: Condition): Publication[] {
    const { key, finding } = condition
    if (!isOn(condition)) return [endNow(condition, 'its rule was disabled')]
    const severity = severityOf(condition)
    // Until it is confirmed, a condition of an earlier run lacks the container data that selects its configuration.
    if (severity !== finding.severity && !unconfirmed.has(key)) {
      return restart(condition, { severity }, `the configured severity changed to ${severity}`)
    }
    const publication = put(condition, finding)
    return publication.change === 'updated' ? [] : [publication]
  }

  return {
    update(finding, { state, container }) {
      const { fingerprint: key, summary, evidence, last_seen } = finding
      unconfirmed.delete(key)
      const before = known.get(key)
      if (state === 'resolved') return before === undefined ? [] : [end(before, summary, last_seen)]
      if (before === undefined) return [start({ key, finding, container })]
      const moved = container === null ? [] : rename(before, container)
      const current = known.get(key)?.finding ?? before.finding
      const updated = { ...current, summary, evidence, last_seen }
      return [...moved, put({ key, finding: updated, container }, current)]
    },
    firing: () => [...known.values()].map(({ finding }) => finding).filter(isFiring),
    open: () => [...known.values()].map(({ finding }) => finding),
    renamed: (container) =>
      [...known.values()]
        .filter(({ finding }) => finding.container?.id === container.id)
        .flatMap((condition) => rename(condition, container)),
    resolveUnconfirmed() {
      const left = [...unconfirmed].map((key) => known.get(key))
      unconfirmed.clear()
      return left
        .filter((condition) => condition !== undefined)
        .map((condition) => endNow(condition, 'not found again after a restart of tidewatch or its detector'))
    },
    markUnconfirmed(detector) {
      for (const [key, { finding }] of known) if (finding.detector === detector) unconfirmed.add(key)
    },
    reconsider: () => [...known.values()].flatMap(reconsidered),
  }
}

/** A condition of an earlier run: only what its finding contains is known. */
function knownBefore({ key, finding }: StoredCondition): Condition {
  const { container } = finding
  if (container === null) return { key, finding, container }
  return { key, finding, container: unknownContainer(container.id, container.name, container.image) }
}

/** Summaries of conditions name their container once. */
function replaceName(summary: string, name: string, newName: string): string {
  const literal = name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
  return summary.replace(new RegExp(`(?<![\\w.-])${literal}(?![\\w.-])`), () => newName)
}
