/** A map of the most recently set entries, at most `max`, so that a container cannot fill the memory. */
export function rememberRecent<Value>(max: number) {
  const known = new Map<string, Value>()
  return {
    get: (key: string): Value | undefined => known.get(key),
    set(key: string, value: Value): void {
      known.delete(key)
      known.set(key, value)
      if (known.size > max) known.delete(known.keys().next().value as string)
    },
    delete: (key: string): void => void known.delete(key),
  }
}
