const remembered = 4_096
const maxRemembered = 512

/**
 * A burst says the same again and again: what came last is not worked out twice. What is asked for again stays when the
 * rest is forgotten, so that texts that are ever new do not drive out those that are not.
 */
export function remembering<T extends string | boolean | object>(
  work: (text: string) => T,
): (text: string) => T {
  let recent = new Map<string, T>()
  let before: ReadonlyMap<string, T> = new Map()
  return (text) => {
    if (text.length > maxRemembered) return work(text)
    const known = recent.get(text)
    if (known !== undefined) return known
    const result = before.get(text) ?? work(text)
    if (recent.size >= remembered) {
      before = recent
      recent = new Map()
    }
    recent.set(text, result)
    return result
  }
}

/** In a burst the same is asked for again and again: the same time, the same finding by many entries. */
export function rememberingLast<Of, Made>(make: (of: Of) => Made): (of: Of) => Made {
  let last: { of: Of; made: Made } | undefined
  return (of) => {
    if (last?.of !== of) last = { of, made: make(of) }
    return last.made
  }
}
