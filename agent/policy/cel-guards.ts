import type { ASTNode } from '@marcbachmann/cel-js'
import type { Subject } from './cel-subject.ts'

/** A necessary condition of an expression that is cheaper to check than the expression. */
export type Guard = {
  holds: (subject: Subject) => boolean
  /** The part that depends on the rule only, so that it need not be checked for each finding; null if none. */
  ofRule: ((rule: RuleName) => boolean) | null
  /** The field and its possible values, if the guard requires one of several strings; used as an index. */
  oneOf: { field: string; get: Reader; texts: readonly string[] } | null
}

/** The names by which an expression can select a rule. */
export type RuleName = Pick<Subject, 'rule' | 'detector'>

/**
 * The string conditions in an expression, combined by `&&` and `||`: a field equals a literal, is in a list of
 * literals, or starts with, ends with or contains a literal. They reject nearly all findings, which makes many entries cheap.
 * A guard may pass a finding for which the expression is false, but never rejects one for which it is true.
 */
export function guardsOf(node: ASTNode): readonly Guard[] {
  switch (node.op) {
    case '&&':
      return node.args.flatMap(guardsOf)
    case '||':
      return either(...node.args.map(guardsOf))
    case '==': {
      const [left, right] = node.args
      return comparison(left, right) ?? comparison(right, left) ?? []
    }
    case 'in':
      return membership(...node.args)
    case 'rcall':
      return search(...node.args)
    default:
      return []
  }
}

function either(...sides: (readonly Guard[])[]): Guard[] {
  // A side without guards may be true for any finding.
  if (sides.some((guards) => guards.length === 0)) return []
  const isForAny = sides.some((guards) => guards.every(({ ofRule }) => ofRule === null))
  return [
    {
      holds: (subject) => sides.some((guards) => guards.every(({ holds }) => holds(subject))),
      ofRule: isForAny ? null : (rule) => sides.some((guards) => areFor(guards, rule)),
      oneOf: null,
    },
  ]
}

/** Whether the guards can hold for findings of a rule. */
export function areFor(guards: readonly Guard[], rule: RuleName): boolean {
  return guards.every(({ ofRule }) => ofRule === null || ofRule(rule))
}

function comparison(field: ASTNode, value: ASTNode): readonly Guard[] | null {
  const text = literal(value)
  return text === null ? null : guarding(field, (given) => given === text, [text])
}

function membership(field: ASTNode, list: ASTNode): readonly Guard[] {
  if (list.op !== 'list') return []
  const texts = literals(list.args)
  if (texts === null) return []
  const wanted: ReadonlySet<string> = new Set(texts)
  return guarding(field, (given) => wanted.has(given), [...wanted]) ?? []
}

const searches: Readonly<Record<string, (text: string) => (given: string) => boolean>> = {
  startsWith: (text) => (given) => given.startsWith(text),
  endsWith: (text) => (given) => given.endsWith(text),
  contains: (text) => (given) => given.includes(text),
}

function search(method: string, field: ASTNode, [argument]: readonly ASTNode[]): readonly Guard[] {
  const text = argument === undefined ? null : literal(argument)
  const make = Object.hasOwn(searches, method) ? searches[method] : undefined
  return text === null || make === undefined ? [] : (guarding(field, make(text)) ?? [])
}

function guarding(
  field: ASTNode,
  test: (given: string) => boolean,
  texts?: readonly string[],
): readonly Guard[] | null {
  const get = reader(field)
  if (get === null) return null
  const holds = (subject: Subject) => {
    const given = get(subject)
    return given !== undefined && (given === notText || test(given))
  }
  const oneOf = texts === undefined ? null : { field: JSON.stringify(pathOf(field)), get, texts }
  const key = ruleKey(field)
  return [{ holds, ofRule: key && ((rule) => test(rule[key])), oneOf }]
}

/** The values of string literals; null if a node is not a string literal. */
function literals(nodes: readonly ASTNode[]): string[] | null {
  const texts = nodes.map(literal).filter((text) => text !== null)
  return texts.length < nodes.length ? null : texts
}

function literal(node: ASTNode): string | null {
  return node.op === 'value' && typeof node.args === 'string' ? node.args : null
}

/** The field exists but is not a string: the expression itself must report the error. */
export const notText = Symbol('not text')

export type Reader = (subject: Subject) => string | undefined | typeof notText

/** A reader for a string of the finding: a field, a container field, a container label, or an evidence field. */
function reader(node: ASTNode): Reader | null {
  if (node.op === 'id') return isField(node.args) ? fields[node.args] : null
  const path = pathOf(node)
  if (path === null) return null
  const [root, first, second] = path
  if (root === 'evidence') return evidenceReader(path.slice(1))
  if (root !== 'container' || typeof first !== 'string') return null
  if (first === 'labels' && typeof second === 'string' && path.length === 3) {
    return ({ container }) => container.labels.get(second)
  }
  return path.length === 2 && isContainerField(first) ? containerFields[first] : null
}

type Path = readonly (string | number)[]

/** A variable followed by the keys and indexes of a value in it. */
function pathOf(node: ASTNode): Path | null {
  if (node.op === 'id') return [node.args]
  if (node.op !== '.' && node.op !== '[]') return null
  const [of, key] = node.args
  const before = pathOf(of)
  if (before === null) return null
  if (typeof key === 'string') return [...before, key]
  if (key.op !== 'value') return null
  if (typeof key.args === 'string') return [...before, key.args]
  return typeof key.args === 'bigint' ? [...before, Number(key.args)] : null
}

function evidenceReader(path: Path): Reader {
  return ({ evidence }) => {
    let value: unknown = evidence
    for (const key of path) {
      if (value === undefined) return undefined
      if (typeof value !== 'object' || value === null) return notText
      value = (value as Record<string | number, unknown>)[key]
    }
    return value === undefined || typeof value === 'string' ? value : notText
  }
}

const fields = {
  rule: ({ rule }: Subject) => rule,
  detector: ({ detector }: Subject) => detector,
  severity: ({ severity }: Subject) => severity,
  summary: ({ summary }: Subject) => summary,
  kind: ({ kind }: Subject) => kind,
  host: ({ host }: Subject) => host,
  fingerprint: ({ fingerprint }: Subject) => fingerprint,
} satisfies Record<string, Reader>

const containerFields = {
  id: ({ container }: Subject) => container.id,
  name: ({ container }: Subject) => container.name,
  image: ({ container }: Subject) => container.image,
  image_id: ({ container }: Subject) => container.image_id,
  compose_project: ({ container }: Subject) => container.compose_project,
  compose_service: ({ container }: Subject) => container.compose_service,
} satisfies Record<string, Reader>

function ruleKey({ op, args }: ASTNode): keyof RuleName | null {
  return op === 'id' && (args === 'rule' || args === 'detector') ? args : null
}

function isField(name: string): name is keyof typeof fields {
  return Object.hasOwn(fields, name)
}

function isContainerField(name: string): name is keyof typeof containerFields {
  return Object.hasOwn(containerFields, name)
}
