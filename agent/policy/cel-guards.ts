import type { ASTNode } from '@marcbachmann/cel-js'
import type { Subject } from './cel.ts'

/** What has to be so for an expression to hold, and is looked up faster than the expression is evaluated. */
export type Guard = (subject: Subject) => boolean

/**
 * The comparisons that an expression joins by `&&`, of a text of the finding with a text that is written out. Nearly
 * all findings are turned away by one of them: that is what makes many entries cheap.
 */
export function guardsOf(node: ASTNode): readonly Guard[] {
  if (node.op === '&&') return node.args.flatMap(guardsOf)
  if (node.op === '==') {
    const [left, right] = node.args
    const guard = comparison(left, right) ?? comparison(right, left)
    return guard === null ? [] : [guard]
  }
  if (node.op !== 'rcall' || node.args[0] !== 'startsWith') return []
  const [, receiver, [prefix]] = node.args
  const get = reader(receiver)
  const text = prefix === undefined ? null : literal(prefix)
  return get === null || text === null ? [] : [(subject) => get(subject)?.startsWith(text) === true]
}

function comparison(field: ASTNode, value: ASTNode): Guard | null {
  const get = reader(field)
  const text = literal(value)
  return get === null || text === null ? null : (subject) => get(subject) === text
}

function literal(node: ASTNode): string | null {
  return node.op === 'value' && typeof node.args === 'string' ? node.args : null
}

type Reader = (subject: Subject) => string | undefined

/** How a text of the finding is read: a field, one of the container's, or one of its labels. */
function reader(node: ASTNode): Reader | null {
  if (node.op === 'id') return isField(node.args) ? fields[node.args] : null
  if (node.op !== '.' && node.op !== '[]') return null
  const [of, key] = node.args
  const name = typeof key === 'string' ? key : literal(key)
  if (name === null) return null
  if (of.op === 'id' && of.args === 'container') return isContainerField(name) ? containerFields[name] : null
  const isLabels =
    of.op === '.' && of.args[1] === 'labels' && of.args[0].op === 'id' && of.args[0].args === 'container'
  return isLabels ? (subject) => subject.container.labels.get(name) : null
}

const fields = {
  rule: ({ rule }: Subject) => rule,
  detector: ({ detector }: Subject) => detector,
  severity: ({ severity }: Subject) => severity,
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

function isField(name: string): name is keyof typeof fields {
  return Object.hasOwn(fields, name)
}

function isContainerField(name: string): name is keyof typeof containerFields {
  return Object.hasOwn(containerFields, name)
}
