/** What a value of a finding's evidence is, where it is there at all; `any` is what differs within one rule. */
export type EvidenceType = 'text' | 'number' | 'flag' | 'any' | readonly [EvidenceType] | EvidenceFields

/** The fields that evidence, or a mapping in it, can have. */
export type EvidenceFields = { readonly [key: string]: EvidenceType }

/** What the core adds to the evidence of any rule: further rules that applied, and summaries that were folded. */
export const commonEvidence = { also: ['text'], repeated: ['text'] } as const satisfies EvidenceFields

/** What the evidence of one rule can hold. */
export type RuleEvidence = { detector: string; rule: string; fields: EvidenceFields }
