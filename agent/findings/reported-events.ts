import type { Publication } from './publication.ts'
import { type Finding, isAtLeast } from '../model/finding.ts'

/** Which acts were told: all that the store has, and the last ones whatever became of their findings. */
export type ToldActs = {
  add(publication: Publication): void
  /**
   * The finding of an act with one more rule that applied to it; null where that needs no more to be said: the act was
   * folded into another or held back, or names the rule already. Undefined where the rule has to speak for itself: the
   * act was not told, or is allowed, or is less severe than this.
   */
  wholeOf(
    act: { rule: string; act: string },
    part: Pick<Finding, 'rule' | 'severity'>,
  ): Finding | null | undefined
}

/** Bounded, the oldest make room. */
export function toldActs(
  findByAct: (rule: string, act: string) => Finding | null,
  maxLast = 4_096,
): ToldActs {
  const last = new Map<string, Pick<Finding, 'state' | 'severity'>>()

  return {
    add({ finding: { rule, state, severity }, act }) {
      if (act === null) return
      last.set(`${rule} ${act}`, { state, severity })
      if (last.size > maxLast) last.delete(last.keys().next().value ?? '')
    },
    wholeOf({ rule, act }, part) {
      const finding = findByAct(rule, act)
      const told = finding ?? last.get(`${rule} ${act}`)
      if (told?.state !== 'firing' || !isAtLeast(told.severity, part.severity)) return undefined
      if (finding === null) return null
      const { also } = finding.evidence
      const known = Array.isArray(also) ? also : []
      if (known.includes(part.rule)) return null
      return { ...finding, evidence: { ...finding.evidence, also: [...known, part.rule] } }
    },
  }
}
