import { isMap, isScalar, type Node, type Pair, Scalar } from 'yaml'

/** Keys and indexes that lead to a value. */
export type Path = readonly PropertyKey[]

/** The value at a path; undefined if there is none. */
export function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (inner, part) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, part) : undefined),
    value,
  )
}

/** The text offset of a path: of its key if there is one, otherwise of its value or of the enclosing node. */
export function offsetOf(root: Node | null, path: Path): number {
  return find(root, path).offset
}

/** The file offset of a character in a string value, across quotes, escapes, folding and indentation. */
export function offsetInText(source: string, root: Node | null, path: Path, offset: number): number {
  const { node } = find(root, path)
  if (!isScalar(node) || typeof node.value !== 'string' || node.range == null) return offsetOf(root, path)
  const [start, end] = node.range
  const text = node.value
  let at = start + (isQuoted(node) ? 1 : 0)
  if (isBlock(node)) at = source.indexOf('\n', start) + 1
  for (let index = 0; index <= Math.min(offset, text.length - 1) && at < end; index += 1) {
    const wanted = text.charAt(index)
    if (isSpace(wanted)) {
      if (index === offset) return at
      while (at < end && isSpace(source.charAt(at))) at += 1
      // One run of whitespace in the file can be several characters of the value.
      while (isSpace(text.charAt(index + 1)) && index < offset) index += 1
      continue
    }
    while (at < end && source.charAt(at) !== wanted) at += 1
    if (index === offset) return at
    at += 1
  }
  return Math.min(at, Math.max(start, end - 1))
}

function isQuoted({ type }: Scalar): boolean {
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
