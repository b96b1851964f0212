import { commonEvidence, type EvidenceFields, type EvidenceType } from '../../agent/model/evidence-type.ts'
import type { Detection, Finding } from '../../agent/model/finding.ts'
import { ruleEvidence } from '../../detectors/index.ts'

/** Evidence entries that are not declared by the rules of the findings, or have another type. */
export function undeclared(found: Pick<Finding | Detection, 'rule' | 'evidence'>): string[] {
  const declared = ruleEvidence().find(({ rule }) => rule === found.rule)
  if (declared === undefined) return [`${found.rule} declares no evidence`]
  const fields = { ...declared.fields, ...commonEvidence }
  return unfit(found.evidence, fields, `${found.rule}: evidence`)
}

/** Returns the findings if their evidence matches its declaration; throws otherwise. */
export function asDeclared(findings: Finding[]): Finding[] {
  const wrong = findings.flatMap(undeclared)
  if (wrong.length > 0) throw new Error([...new Set(wrong)].join('\n'))
  return findings
}

function unfit(value: unknown, type: EvidenceType, path: string): string[] {
  // Unknown values are omitted or null, whatever their type.
  if (value === undefined || value === null || type === 'any') return []
  if (typeof type === 'string') return typeof value === types[type] ? [] : [`${path} is no ${type}`]
  if (isListType(type)) {
    if (!Array.isArray(value)) return [`${path} is no list`]
    return value.flatMap((item) => unfit(item, type[0], `${path}[]`))
  }
  if (typeof value !== 'object' || Array.isArray(value)) return [`${path} has no fields`]
  return Object.entries(value).flatMap(([key, item]) => {
    const of = Object.hasOwn(type, key) ? type[key] : undefined
    return of === undefined ? [`${path}.${key} is not declared`] : unfit(item, of, `${path}.${key}`)
  })
}

const types = { text: 'string', number: 'number', flag: 'boolean' } as const

function isListType(type: EvidenceFields | readonly [EvidenceType]): type is readonly [EvidenceType] {
  return Array.isArray(type)
}
