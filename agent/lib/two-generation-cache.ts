/** What was used of late, by key. */
export type Generations<Key, Value> = {
  get(key: Key): Value | undefined
  /** True when this was one too many of a generation, and what was not used since the last one is forgotten. */
  set(key: Key, value: Value): boolean
  values(): Iterable<Value>
}

/**
 * What is asked for again stays when the rest is forgotten, so that what is ever new does not drive out what is not.
 * There are twice `max` at most.
 */
export function generations<Key, Value>(max: number): Generations<Key, Value> {
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
