import { parser } from '@prometheus-io/lezer-promql'

type Tree = ReturnType<typeof parser.parse>
type SyntaxNode = Tree['topNode']

/** A selector in an expression: its metric, the text of its matchers, its range and the function applied to it. */
export type Selector = { metric: string; matchers: readonly string[]; range: string; function: string }

/** The selectors in an expression, parsed with Prometheus' grammar; throws if it is invalid. */
export function selectorsOf(expression: string): Selector[] {
  const tree = parser.parse(expression)
  const found: Selector[] = []
  tree.iterate({
    enter: ({ type, from, node }) => {
      if (type.isError) throw new Error(`not PromQL at ${from}: ${expression}`)
      if (type.name === 'VectorSelector') found.push(selector(node, expression))
    },
  })
  return found
}

function selector(node: SyntaxNode, expression: string): Selector {
  const text = (its: SyntaxNode | null | undefined) => (its ? expression.slice(its.from, its.to) : '')
  const matrix = node.parent?.name === 'MatrixSelector' ? node.parent : null
  let call = matrix?.parent ?? null
  while (call !== null && call.name !== 'FunctionCall') call = call.parent
  return {
    metric: text(node.getChild('Identifier')),
    matchers: node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher').map(text) ?? [],
    range: matrix === null ? '' : text(matrix.lastChild),
    function: text(call?.getChild('FunctionIdentifier')),
  }
}
