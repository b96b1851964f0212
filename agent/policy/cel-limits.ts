import type { ASTNode } from '@marcbachmann/cel-js'

/** Why an expression is rejected, and the offset in its text. */
export type Refusal = { start: number; message: string }

/** A `matches` call with a literal pattern; the method's name follows offset `from`. */
export type MatchesCall = { from: number; pattern: string; patternAt: number }

/** The result of the examination: `refusal` is null if the expression is allowed; `asked` are the arguments of `has`. */
export type Examined = {
  refusal: Refusal | null
  matches: readonly MatchesCall[]
  asked: readonly ASTNode[]
}

// The maximum length of lists in evidence (agent/findings/bounded-evidence.ts); literal lists have their own length.
const longestList = 128
/** Maximum cost of one evaluation, in steps of about 30 ns: it stays under 5 ms. */
export const maxCost = 100_000
const searchCost = 10
const equalsCost = 4

// These take time proportional to their operands and return nothing longer. `map`, `cel.bind`, `split` and `join` could
// multiply their input; no finding contains dates or bytes.
const methods: ReadonlySet<string> = new Set(
  'contains startsWith endsWith lowerAscii upperAscii trim indexOf lastIndexOf substring size'.split(' '),
)
const functions: ReadonlySet<string> = new Set('has size string int double dyn type'.split(' '))
const macros: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'filter'])

/** Checks that an expression ends quickly for any finding. `search` is the method that takes a pattern. */
export function examine(root: ASTNode, search: string): Examined {
  const matches: MatchesCall[] = []
  const asked: ASTNode[] = []
  let refusal: Refusal | null = null
  const refuse = (node: ASTNode, message: string): number => {
    refusal ??= { start: node.start, message }
    return 0
  }
  const total = (nodes: readonly ASTNode[]) => nodes.reduce((sum, node) => sum + costOf(node), 1)

  function costOf(node: ASTNode): number {
    switch (node.op) {
      case 'value':
      case 'id':
        return 1
      case '.':
        return 1 + costOf(node.args[0])
      case '!_':
      case '-_':
        return 1 + costOf(node.args)
      case 'list':
        return total(node.args)
      case 'map':
        return total(node.args.flat())
      case 'in':
        return total(node.args) + equalsCost * lengthOf(node.args[1])
      case '==':
      case '!=':
        return total(node.args) + equalsCost
      case 'call':
        if (node.args[0] === 'has') asked.push(...node.args[1])
        return functions.has(node.args[0])
          ? total(node.args[1])
          : refuse(node, `unknown function ${node.args[0]}`)
      case 'rcall':
        return costOfMethod(node, ...node.args)
      case '.?':
      case '[?]':
        return refuse(node, 'optional values are not supported; use has()')
      default:
        return total(node.args)
    }
  }

  function costOfMethod(node: ASTNode, name: string, receiver: ASTNode, args: readonly ASTNode[]): number {
    const [first, second] = args
    if (macros.has(name) && first !== undefined && second !== undefined) {
      return costOf(receiver) + lengthOf(receiver) * (1 + costOf(second))
    }
    if (name !== search && !methods.has(name)) return refuse(node, `unknown method ${name}`)
    if (name === search) {
      if (first?.op !== 'value' || typeof first.args !== 'string') {
        return refuse(first ?? node, 'the pattern of matches must be a string literal')
      }
      matches.push({ from: receiver.end, pattern: first.args, patternAt: first.start })
    }
    return searchCost + total([receiver, ...args])
  }

  const cost = costOf(root)
  if (cost > maxCost) {
    const message = `too expensive: up to ${cost} steps, the limit is ${maxCost}; avoid nested loops over lists`
    return { refusal: refusal ?? { start: root.start, message }, matches, asked }
  }
  return { refusal, matches, asked }
}

function lengthOf(node: ASTNode): number {
  return node.op === 'list' ? node.args.length : longestList
}
