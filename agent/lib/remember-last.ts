import { generations } from './two-generation-cache.ts'

const remembered = 4_096
const maxRemembered = 512

/** A burst says the same again and again: what came last is not worked out twice. */
export function remembering<T extends string | boolean | object>(
  work: (text: string) => T,
): (text: string) => T {
  const known = generations<string, T>(remembered)
  return (text) => {
    if (text.length > maxRemembered) return work(text)
    const before = known.get(text)
    if (before !== undefined) return before
    const result = work(text)
    known.set(text, result)
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
