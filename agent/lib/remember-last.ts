import { BoundedMap } from './bounded-map.ts'

const maxEntries = 4_096
const maxLength = 512

/** Caches the results for recent texts, because a burst repeats the same ones. */
export function rememberRecent<T extends string | boolean | object>(
  work: (text: string) => T,
): (text: string) => T {
  const known = new BoundedMap<string, T>(maxEntries)
  return (text) => {
    if (text.length > maxLength) return work(text)
    const before = known.get(text)
    if (before !== undefined) return before
    const result = work(text)
    known.set(text, result)
    return result
  }
}

/** Caches the last result: a burst asks for the same one repeatedly, such as one time or one finding. */
export function rememberLast<Of, Made>(make: (of: Of) => Made): (of: Of) => Made {
  let last: { of: Of; made: Made } | undefined
  return (of) => {
    if (last?.of !== of) last = { of, made: make(of) }
    return last.made
  }
}
