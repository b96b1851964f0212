/** Remembers the last so many of something: what a container can make more and more of must not fill the memory. */
export function recent<Value>(max: number) {
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
