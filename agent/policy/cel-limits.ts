import type { ASTNode } from '@marcbachmann/cel-js'

/** Why an expression is refused, and where in it: offsets into its text. */
export type Refusal = { start: number; message: string }

/** A `matches` call, its pattern written out; `from` is where its name is to be looked for. */
export type MatchesCall = { from: number; pattern: string; patternAt: number }

/** What an expression does, `asked` being the arguments of `has`; null where it may do all of it. */
export type Examined = {
  refusal: Refusal | null
  matches: readonly MatchesCall[]
  asked: readonly ASTNode[]
}

// Evidence holds lists of this length at the most (agent/findings/findings.ts), literals have theirs.
const longestList = 128
/** What one evaluation may cost, in steps of some 30 ns: it stays under 5 ms. */
export const maxCost = 100_000
const searchCost = 10
const equalsCost = 4

// What is here takes time in proportion to its operands and gives nothing longer than them. `map`, `cel.bind`,
// `split` and `join` could multiply what they are given; dates and bytes are in no finding.
const methods: ReadonlySet<string> = new Set(
  'contains startsWith endsWith lowerAscii upperAscii trim indexOf lastIndexOf substring size'.split(' '),
)
const functions: ReadonlySet<string> = new Set('has size string int double dyn type'.split(' '))
const macros: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'filter'])

/** What an expression may do: known to end soon whatever a finding holds. `search` is the name of the one method that takes patterns. */
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
          : refuse(node, `there is no function ${node.args[0]}`)
      case 'rcall':
        return costOfMethod(node, ...node.args)
      case '.?':
      case '[?]':
        return refuse(node, 'optional values are not part of the language here; use has()')
      default:
        return total(node.args)
    }
  }

  function costOfMethod(node: ASTNode, name: string, receiver: ASTNode, args: readonly ASTNode[]): number {
    const [first, second] = args
    if (macros.has(name) && first !== undefined && second !== undefined) {
      return costOf(receiver) + lengthOf(receiver) * (1 + costOf(second))
    }
    if (name !== search && !methods.has(name)) return refuse(node, `there is no method ${name}`)
    if (name === search) {
      if (first?.op !== 'value' || typeof first.args !== 'string') {
        return refuse(first ?? node, 'the pattern of matches must be written out as a string')
      }
      matches.push({ from: receiver.end, pattern: first.args, patternAt: first.start })
    }
    return searchCost + total([receiver, ...args])
  }

  const cost = costOf(root)
  if (cost > maxCost) {
    const message = `it could run away: it may take ${cost} steps, and ${maxCost} are allowed; nest no list in a list`
    return { refusal: refusal ?? { start: root.start, message }, matches, asked }
  }
  return { refusal, matches, asked }
}

function lengthOf(node: ASTNode): number {
  return node.op === 'list' ? node.args.length : longestList
}
