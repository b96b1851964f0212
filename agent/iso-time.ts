/** RFC 3339 with milliseconds. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}

/** In a burst the same time is asked for again and again. */
export function rememberingLast<Made>(make: (of: number) => Made): (of: number) => Made {
  let last: { of: number; made: Made } | undefined
  return (of) => {
    if (last?.of !== of) last = { of, made: make(of) }
    return last.made
  }
}
