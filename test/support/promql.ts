import { parser } from '@prometheus-io/lezer-promql'

type Tree = ReturnType<typeof parser.parse>
type SyntaxNode = Tree['topNode']

/** A series that an expression reads: its metric, the text of its matchers, the function that takes its range. */
export type Selector = { metric: string; matchers: readonly string[]; range: string; function: string }

/** What an expression reads, as Prometheus' own grammar understands it; throws where it does not. */
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
