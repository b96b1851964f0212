import type { ASTNode, Environment } from '@marcbachmann/cel-js'
import { closest } from '../lib/did-you-mean.ts'
import {
  commonEvidence,
  type EvidenceFields,
  type EvidenceType,
  type RuleEvidence,
} from '../model/evidence-type.ts'
import type { RuleName } from './cel-guards.ts'

/** What is wrong, and where in the text: as an error of the type check, or said in words of our own. */
export type EvidenceProblem = { error: Error } | { offset: number; message: string }

/** An expression that is right but for what it asks of evidence. */
type Checked = {
  source: string
  /** The arguments of `has`, whose fields no type check looks at. */
  asked: readonly ASTNode[]
  /** Whether it can be true for findings of a rule. */
  concerns: (rule: RuleName) => boolean
}

/** An environment in which evidence has the fields that some rules give it; `fields` of each of its types, by name. */
type Typed = { environment: Environment; fields: ReadonlyMap<string, EvidenceFields>; of: string }

// Expressions name few sets of rules; whoever invents them by the hundred has them made anew.
const maxEnvironments = 50

/** Checks what expressions ask of evidence by what the rules that they are for can have. `base` knows all the rest. */
export function evidenceCheck(base: Environment, rules: readonly RuleEvidence[]) {
  const environments = new Map<string, Typed>()

  function typedFor(concerns: Checked['concerns']): Typed {
    const concerned = rules.filter(concerns)
    // What is for no rule that is known is judged by all.
    const meant = concerned.length === 0 ? rules : concerned
    const key = meant.map(({ rule }) => rule).join()
    const known = environments.get(key)
    if (known !== undefined) return known
    if (environments.size >= maxEnvironments) environments.clear()
    const names = meant.length <= maxNamed ? meant.map(({ rule }) => rule).join(' or ') : 'these rules'
    const typed = {
      ...typedBy(base, meant.map(({ fields }) => fields).reduce(merged, commonEvidence)),
      of: meant.length === rules.length ? 'any rule' : names,
    }
    environments.set(key, typed)
    return typed
  }

  /** Null where all is right. */
  return ({ source, asked, concerns }: Checked): EvidenceProblem | null => {
    const typed = typedFor(concerns)
    const problem = problemIn(source, typed, 0)
    if (problem !== null) return problem
    for (const { start, end } of asked) {
      const within = problemIn(source.slice(start, end), typed, start)
      // A variable of a macro is not known by itself.
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
  // What the library found an expression to be stands on its node.
  const type = (left as { checkedType?: { name?: string } } | undefined)?.checkedType?.name ?? ''
  const known = fields.get(type)
  const name = typeof key === 'string' ? key : (key as { args?: unknown } | undefined)?.args
  if (error.code !== 'no_such_key' || known === undefined || typeof name !== 'string') return { error }
  const meant = closest(name, Object.keys(known))
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
  // Numbers are of one kind in JSON; when an expression is evaluated, they are compared with whole ones too.
  for (const operator of ['double == int', 'double in list<int>'])
    environment.registerOperator(`${operator}: bool`, () => false)
  return { environment, fields }
}

const scalars = { text: 'string', number: 'double', flag: 'bool', any: 'dyn' } as const

/** What evidence has by either of two rules: where they differ, anything. */
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
