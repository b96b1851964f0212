import { clip, printable } from './model/text.ts'
import type { Detector } from './model/detector.ts'
import {
  type Detection,
  type Finding,
  findingContainer,
  fingerprintOf,
  type Json,
  severities,
} from './model/finding.ts'
import type { DetectorConfig } from './config/schema.ts'

/** A finding on its way to the store and the exporters, and what is new about it. */
export type Publication = {
  change: 'new' | 'updated' | 'resolved'
  finding: Finding
  /** Identifies the act of an event for ever; null for conditions and where there is no such thing. */
  act: string | null
}

export type FindingsOptions = {
  host: string
  now: () => number
  newId: (time: number) => string
  configOf: (detector: string) => DetectorConfig
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
}

/** The one place where detections get host, ids, times, severity and bounds. */
export function createFindings({ host, now, newId, configOf, firing, findByAct }: FindingsOptions): Findings {
  const conditions = new Map(firing.map((finding) => [finding.fingerprint, finding]))
  const unconfirmed = new Set(conditions.keys())

  function begin(detector: Detector, detection: Detection, rule: string, also: readonly string[]): Finding {
    const time = isoTime(detection.time)
    const table = ruleOf(detector, rule)
    return {
      id: newId(now()),
      time,
      detected_at: isoTime(now()),
      detector: detector.name,
      rule,
      severity: configOf(detector.name).rules[rule]?.severity ?? table.severity,
      kind: table.kind,
      state: 'firing',
      summary: summaryOf(detection),
      host,
      container: detection.container === null ? null : findingContainer(detection.container),
      evidence: evidenceOf(detection, also),
      count: 1,
      first_seen: time,
      last_seen: time,
      fingerprint: fingerprintOf(host, { ...detection, rule }),
    }
  }

  function fromCondition(finding: Finding, detection: Detection): Publication | null {
    const { fingerprint } = finding
    const known = conditions.get(fingerprint)
    unconfirmed.delete(fingerprint)
    if (detection.state === 'resolved') {
      conditions.delete(fingerprint)
      return known === undefined ? null : resolve(known, finding.summary, finding.last_seen)
    }
    if (known === undefined) {
      conditions.set(fingerprint, finding)
      return { change: 'new', finding, act: null }
    }
    const { summary, evidence, last_seen } = finding
    const updated = { ...known, summary, evidence, last_seen }
    conditions.set(fingerprint, updated)
    return { change: 'updated', finding: updated, act: null }
  }

  /**
   * Under whichever of the rules it was told: severities may have been configured anew since. What was known in an
   * earlier run and is not now stays. Null where the act was never told: what is known of it now comes too late, or its
   * rules were off.
   */
  function complete(detection: Detection, rules: readonly string[]): Publication | null {
    const { act = '' } = detection
    for (const rule of rules) {
      const known = findByAct(rule, act)
      if (known === null) continue
      const others = rules.filter((name) => name !== rule)
      const added = Object.entries(evidenceOf(detection, others)).filter(([, value]) => value !== undefined)
      const evidence = { ...known.evidence, ...Object.fromEntries(added) }
      return { change: 'updated', finding: { ...known, summary: summaryOf(detection), evidence }, act }
    }
    return null
  }

  return {
    from(detector, detection) {
      const rules = enabledRules(detector, detection, configOf(detector.name))
      if (detection.completes) return complete(detection, rules)
      const [rule, ...also] = rules
      if (rule === undefined) return null
      const finding = begin(detector, detection, rule, also)
      if (finding.kind === 'condition') return fromCondition(finding, detection)
      return { change: 'new', finding, act: detection.act ?? null }
    },
    firing: () => [...conditions.values()],
    resolveUnconfirmed() {
      const publications: Publication[] = []
      for (const fingerprint of unconfirmed) {
        const known = conditions.get(fingerprint)
        conditions.delete(fingerprint)
        if (known !== undefined) publications.push(resolve(known, known.summary, isoTime(now())))
      }
      unconfirmed.clear()
      return publications
    },
  }
}

function resolve(known: Finding, summary: string, last_seen: string): Publication {
  return { change: 'resolved', finding: { ...known, state: 'resolved', summary, last_seen }, act: null }
}

/** The rules that apply and are on, the most severe first: one act, one finding, and that one speaks. */
function enabledRules(detector: Detector, { rule, also = [] }: Detection, config: DetectorConfig): string[] {
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

const maxSummary = 400

function summaryOf({ summary }: Detection): string {
  return printable(clip(summary, maxSummary))
}

function evidenceOf({ evidence }: Detection, also: readonly string[]): Finding['evidence'] {
  const bounded = Object.entries(evidence).map(([key, value]) => [key, bound(value)] as const)
  return Object.fromEntries(also.length === 0 ? bounded : [...bounded, ['also', also]])
}

const maxText = 4_096
const maxItems = 128

/** Keeps evidence small whatever a detector, or a container through it, puts there. */
function bound(value: Json): Json {
  if (typeof value === 'string') return clip(value, maxText)
  if (Array.isArray(value)) return value.slice(0, maxItems).map(bound)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, maxItems)
      .map(([key, item]) => [clip(key, 128), bound(item)]),
  )
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
