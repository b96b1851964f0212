import type { Publication } from './publication.ts'
import { BoundedMap } from '../lib/bounded-map.ts'
import { type Finding, isAtLeast, type Json } from '../model/finding.ts'

/** The reported events: those in the store, and the latest ones whether or not their findings were stored. */
export type ReportedEvents = {
  add(publication: Publication): void
  /** Whether the event was reported, be it as allowed, folded or throttled. */
  has(event: EventOfRule): boolean
  /**
   * The finding of an event with the rules of another finding. Null if there is nothing to add: the event was folded or
   * throttled, or already lists the rules. Undefined if they need a finding of their own: the event was not reported,
   * or is allowed, or is less severe.
   */
  mergeTarget(
    event: EventOfRule,
    added: Pick<Finding, 'rule' | 'severity' | 'evidence'>,
  ): Finding | null | undefined
}

/** An event as the rule that reported it identifies it. */
export type EventOfRule = { rule: string; eventKey: string }

/** Remembers the last `maxLast` events. */
export function reportedEvents(
  findByEventKey: (rule: string, eventKey: string) => Finding | null,
  maxLast = 4_096,
): ReportedEvents {
  const last = new BoundedMap<string, Pick<Finding, 'state' | 'severity'>>(maxLast)

  return {
    add({ finding: { rule, state, severity }, eventKey }) {
      if (eventKey === null) return
      last.set(`${rule} ${eventKey}`, { state, severity })
    },
    has: ({ rule, eventKey }) => last.has(`${rule} ${eventKey}`) || findByEventKey(rule, eventKey) !== null,
    mergeTarget({ rule, eventKey }, added) {
      const finding = findByEventKey(rule, eventKey)
      const reported = finding ?? last.get(`${rule} ${eventKey}`)
      if (reported?.state !== 'firing' || !isAtLeast(reported.severity, added.severity)) return undefined
      if (finding === null) return null
      const known = otherRules(finding)
      const others = [added.rule, ...otherRules(added)].filter((name) => !known.includes(name))
      if (others.length === 0) return null
      return { ...finding, evidence: { ...finding.evidence, also: [...known, ...others] } }
    },
  }
}

function otherRules({ evidence: { also } }: Pick<Finding, 'evidence'>): Json[] {
  return Array.isArray(also) ? also : []
}
