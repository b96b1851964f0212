import type { ASTNode } from '@marcbachmann/cel-js'
import type { RuleEvidence } from '../model/evidence-type.ts'
import { literals } from './cel-guards.ts'

type Named = Pick<RuleEvidence, 'detector' | 'rule'>

/**
 * The rules whose findings an expression can be true for, as far as it says so by `rule == "x"`, `rule in [...]` or
 * `detector == "x"`, joined by `&&` and `||`.
 */
export function pinnedRules<Rule extends Named>(node: ASTNode, rules: readonly Rule[]): readonly Rule[] {
  const within = (inner: ASTNode) => pinnedRules(inner, rules)
  switch (node.op) {
    case '&&': {
      const [left, right] = node.args.map(within)
      return (left ?? []).filter((rule) => right?.includes(rule))
    }
    case '||': {
      const either = node.args.flatMap(within)
      return rules.filter((rule) => either.includes(rule))
    }
    case '==': {
      const [left, right] = node.args
      return named(left, [right], rules) ?? named(right, [left], rules) ?? rules
    }
    case 'in': {
      const [left, right] = node.args
      return (right.op === 'list' ? named(left, right.args, rules) : null) ?? rules
    }
    default:
      return rules
  }
}

function named<Rule extends Named>(
  field: ASTNode,
  values: readonly ASTNode[],
  rules: readonly Rule[],
): readonly Rule[] | null {
  if (field.op !== 'id' || (field.args !== 'rule' && field.args !== 'detector')) return null
  const key = field.args
  const texts = literals(values)
  return texts && rules.filter((rule) => texts.includes(rule[key]))
}
