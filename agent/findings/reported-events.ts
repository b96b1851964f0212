import type { Publication } from './publication.ts'
import { type Finding, isAtLeast } from '../model/finding.ts'

/** The reported events: those in the store, and the latest ones whether or not their findings were stored. */
export type ReportedEvents = {
  add(publication: Publication): void
  /**
   * The finding of an event with one more matching rule. Null if there is nothing to add: the event was folded or
   * throttled, or already lists the rule. Undefined if the rule needs a finding of its own: the event was not reported,
   * or is allowed, or is less severe.
   */
  mergeTarget(
    event: { rule: string; eventKey: string },
    added: Pick<Finding, 'rule' | 'severity'>,
  ): Finding | null | undefined
}

/** Remembers at most `maxLast` events; the oldest are dropped first. */
export function reportedEvents(
  findByEventKey: (rule: string, eventKey: string) => Finding | null,
  maxLast = 4_096,
): ReportedEvents {
  const last = new Map<string, Pick<Finding, 'state' | 'severity'>>()

  return {
    add({ finding: { rule, state, severity }, eventKey }) {
      if (eventKey === null) return
      last.set(`${rule} ${eventKey}`, { state, severity })
      if (last.size > maxLast) last.delete(last.keys().next().value ?? '')
    },
    mergeTarget({ rule, eventKey }, added) {
      const finding = findByEventKey(rule, eventKey)
      const reported = finding ?? last.get(`${rule} ${eventKey}`)
      if (reported?.state !== 'firing' || !isAtLeast(reported.severity, added.severity)) return undefined
      if (finding === null) return null
      const { also } = finding.evidence
      const known = Array.isArray(also) ? also : []
      if (known.includes(added.rule)) return null
      return { ...finding, evidence: { ...finding.evidence, also: [...known, added.rule] } }
    },
  }
}
