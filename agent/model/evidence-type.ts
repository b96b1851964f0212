/** The type of an evidence value, if it is present; `any` for values whose type differs within one rule. */
export type EvidenceType = 'text' | 'number' | 'flag' | 'any' | readonly [EvidenceType] | EvidenceFields

/** The fields of evidence or of a mapping in it. */
export type EvidenceFields = { readonly [key: string]: EvidenceType }

/** Evidence that the core adds to any rule: further rules that applied. Findings of 0.1.0 may also have `repeated`. */
export const commonEvidence = { also: ['text'], repeated: ['text'] } as const satisfies EvidenceFields

/** The evidence fields of one rule. */
export type RuleEvidence = { detector: string; rule: string; fields: EvidenceFields }
