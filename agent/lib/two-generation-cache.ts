/** A cache of recently used entries. */
export type TwoGenerationCache<Key, Value> = {
  get(key: Key): Value | undefined
  /** True if this started a new generation, which drops the entries not used in the last one. */
  set(key: Key, value: Value): boolean
  values(): Iterable<Value>
}

/**
 * Entries that are read again survive when others are dropped, so a stream of new keys does not evict those in use.
 * Holds at most twice `max` entries.
 */
export function twoGenerationCache<Key, Value>(max: number): TwoGenerationCache<Key, Value> {
  let recent = new Map<Key, Value>()
  let before = new Map<Key, Value>()

  function set(key: Key, value: Value): boolean {
    const isFull = recent.size >= max
    if (isFull) {
      before = recent
      recent = new Map()
    }
    recent.set(key, value)
    return isFull
  }

  return {
    get(key) {
      const known = recent.get(key)
      if (known !== undefined) return known
      const older = before.get(key)
      if (older === undefined) return undefined
      before.delete(key)
      set(key, older)
      return older
    },
    set,
    *values() {
      yield* recent.values()
      yield* before.values()
    },
  }
}
