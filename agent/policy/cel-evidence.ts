import type { ASTNode, Environment } from '@marcbachmann/cel-js'
import { didYouMean } from '../lib/did-you-mean.ts'
import {
  commonEvidence,
  type EvidenceFields,
  type EvidenceType,
  type RuleEvidence,
} from '../model/evidence-type.ts'
import type { RuleName } from './cel-guards.ts'

/** An error and its position in the text: from the type check, or with a message of our own. */
export type EvidenceProblem = { error: Error } | { offset: number; message: string }

/** An expression whose use of evidence is still unchecked. */
type Checked = {
  source: string
  /** The arguments of `has`, whose fields the type check ignores. */
  asked: readonly ASTNode[]
  /** Whether the expression can be true for findings of a rule. */
  concerns: (rule: RuleName) => boolean
}

/** An environment whose evidence has the fields of some rules; `fields` lists the fields of each type by name. */
type Typed = { environment: Environment; fields: ReadonlyMap<string, EvidenceFields>; of: string }

// Expressions use few sets of rules. Beyond this number the cache is cleared.
const maxEnvironments = 50

/** Checks the evidence fields in expressions against the rules they apply to. `base` declares all other variables. */
export function evidenceCheck(base: Environment, rules: readonly RuleEvidence[]) {
  const environments = new Map<string, Typed>()

  function typedFor(concerns: Checked['concerns']): Typed {
    const matching = rules.filter(concerns)
    // An expression for no known rule is checked against all rules.
    const relevant = matching.length === 0 ? rules : matching
    const key = relevant.map(({ rule }) => rule).join()
    const known = environments.get(key)
    if (known !== undefined) return known
    if (environments.size >= maxEnvironments) environments.clear()
    const names = relevant.length <= maxNamed ? relevant.map(({ rule }) => rule).join(' or ') : 'these rules'
    const typed = {
      ...typedBy(base, relevant.map(({ fields }) => fields).reduce(merged, commonEvidence)),
      of: relevant.length === rules.length ? 'any rule' : names,
    }
    environments.set(key, typed)
    return typed
  }

  /** Null if there is no error. */
  return ({ source, asked, concerns }: Checked): EvidenceProblem | null => {
    const typed = typedFor(concerns)
    const problem = problemIn(source, typed, 0)
    if (problem !== null) return problem
    for (const { start, end } of asked) {
      const within = problemIn(source.slice(start, end), typed, start)
      // Ignore other errors: a macro's variable is unknown outside the macro.
      if (within !== null && 'message' in within) return within
    }
    return null
  }
}

const maxNamed = 3

function problemIn(source: string, { environment, fields, of }: Typed, from: number): EvidenceProblem | null {
  const { error } = environment.check(source)
  if (error === undefined) return null
  const { node } = error
  const [left, key] =
    node !== undefined && 'op' in node && Array.isArray(node.args) ? (node.args as unknown[]) : []
  // The library stores the type of an expression on its node.
  const type = (left as { checkedType?: { name?: string } } | undefined)?.checkedType?.name ?? ''
  const known = fields.get(type)
  const name = typeof key === 'string' ? key : (key as { args?: unknown } | undefined)?.args
  if (error.code !== 'no_such_key' || known === undefined || typeof name !== 'string') return { error }
  const meant = didYouMean(name, Object.keys(known))
  const hint = meant === undefined ? '' : `; did you mean ${meant}?`
  return { offset: from + (error.range?.start ?? 0), message: `${type} has no field ${name} in ${of}${hint}` }
}

function typedBy(base: Environment, evidence: EvidenceFields): Omit<Typed, 'of'> {
  const environment = base.clone()
  const fields = new Map<string, EvidenceFields>()
  const register = (type: EvidenceType, name: string): string => {
    if (typeof type === 'string') return scalars[type]
    if (isListType(type)) return `list<${register(type[0], name)}>`
    const inner = Object.entries(type).map(([key, of]) => [key, register(of, `${name}.${key}`)])
    environment.registerType(name, { fields: Object.fromEntries(inner) as Record<string, string> })
    fields.set(name, type)
    return name
  }
  environment.registerVariable('evidence', register(evidence, 'evidence'))
  // JSON has one number type, so expressions may compare evidence with integers.
  for (const operator of ['double == int', 'double in list<int>'])
    environment.registerOperator(`${operator}: bool`, () => false)
  return { environment, fields }
}

const scalars = { text: 'string', number: 'double', flag: 'bool', any: 'dyn' } as const

/** The evidence fields of two rules together; a field whose types differ has any type. */
function merged(one: EvidenceFields, other: EvidenceFields): EvidenceFields {
  const both = Object.entries(other).map(([key, type]): [string, EvidenceType] => {
    const before = Object.hasOwn(one, key) ? one[key] : undefined
    return [key, before === undefined ? type : mergedType(before, type)]
  })
  return { ...one, ...Object.fromEntries(both) }
}

function mergedType(one: EvidenceType, other: EvidenceType): EvidenceType {
  if (typeof one === 'string' || typeof other === 'string') return one === other ? one : 'any'
  if (isListType(one) && isListType(other)) return [mergedType(one[0], other[0])]
  return isListType(one) || isListType(other) ? 'any' : merged(one, other)
}

function isListType(type: EvidenceType): type is readonly [EvidenceType] {
  return Array.isArray(type)
}
