import { isMap, isScalar, type Node, type Pair, Scalar } from 'yaml'

/** Keys and indexes that lead to a value. */
export type Path = readonly PropertyKey[]

/** The value at the end of a path; undefined where there is none. */
export function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (inner, part) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, part) : undefined),
    value,
  )
}

/** Where in the text the value of a path stands, or its key where there is one, or what encloses it. */
export function offsetOf(root: Node | null, path: Path): number {
  return find(root, path).offset
}

/** Where a character of a text value stands in the file: quotes, escapes, folding and indentation lie between. */
export function offsetInText(source: string, root: Node | null, path: Path, offset: number): number {
  const { node } = find(root, path)
  if (!isScalar(node) || typeof node.value !== 'string' || node.range == null) return offsetOf(root, path)
  const [start, end] = node.range
  const text = node.value
  let at = start + (beginsWithMark(node) ? 1 : 0)
  if (isBlock(node)) at = source.indexOf('\n', start) + 1
  for (let index = 0; index <= Math.min(offset, text.length - 1) && at < end; index += 1) {
    const wanted = text.charAt(index)
    if (isSpace(wanted)) {
      if (index === offset) return at
      while (at < end && isSpace(source.charAt(at))) at += 1
      // One run of space in the file may be several characters of the value.
      while (isSpace(text.charAt(index + 1)) && index < offset) index += 1
      continue
    }
    while (at < end && source.charAt(at) !== wanted) at += 1
    if (index === offset) return at
    at += 1
  }
  return Math.min(at, Math.max(start, end - 1))
}

function beginsWithMark({ type }: Scalar): boolean {
  return type === Scalar.QUOTE_DOUBLE || type === Scalar.QUOTE_SINGLE
}

function isBlock({ type }: Scalar): boolean {
  return type === Scalar.BLOCK_FOLDED || type === Scalar.BLOCK_LITERAL
}

function isSpace(character: string): boolean {
  return character !== '' && /\s/.test(character)
}

function find(root: Node | null, path: Path): { offset: number; node: unknown } {
  let node: unknown = root
  let offset = root?.range?.[0] ?? 0
  for (const part of path) {
    if (isMap(node)) {
      const pair: Pair | undefined = node.items.find(
        ({ key }) => isScalar(key) && String(key.value) === String(part),
      )
      if (pair === undefined) return { offset, node }
      offset = startOf(pair.key) ?? offset
      node = pair.value
    } else if (isSequence(node) && typeof part === 'number') {
      node = node.items[part]
      offset = startOf(node) ?? offset
    } else return { offset, node }
  }
  return { offset, node }
}

function isSequence(node: unknown): node is { items: unknown[] } {
  return typeof node === 'object' && node !== null && 'items' in node && Array.isArray(node.items)
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0]
}
