/** A map that holds at most `max` entries and evicts the oldest, so that hostile input cannot fill the memory. */
export class BoundedMap<Key, Value> extends Map<Key, Value> {
  readonly #max: number
  readonly #onEvicted: (value: Value, key: Key) => void
  readonly #oldest = new FirstKey<Key>(this)

  constructor(max: number, onEvicted: (value: Value, key: Key) => void = () => {}) {
    super()
    this.#max = max
    this.#onEvicted = onEvicted
  }

  /** An existing entry gets the value and keeps its age. */
  override set(key: Key, value: Value): this {
    super.set(key, value)
    if (this.size > this.#max) this.#evictOldest()
    return this
  }

  /** Like `set`, but an existing entry becomes the newest. */
  setNewest(key: Key, value: Value): this {
    this.delete(key)
    return this.set(key, value)
  }

  override delete(key: Key): boolean {
    const isDeleted = super.delete(key)
    if (isDeleted) this.#oldest.reset()
    return isDeleted
  }

  override clear(): void {
    super.clear()
    this.#oldest.reset()
  }

  #evictOldest(): void {
    const key = this.#oldest.next()
    const value = this.get(key) as Value
    super.delete(key)
    this.#onEvicted(value, key)
  }
}

/** A set that holds at most `max` values and evicts the oldest; adding a value again does not change its age. */
export class BoundedSet<Value> extends Set<Value> {
  readonly #max: number
  readonly #oldest = new FirstKey<Value>(this)

  constructor(max: number) {
    super()
    this.#max = max
  }

  override add(value: Value): this {
    super.add(value)
    if (this.size > this.#max) super.delete(this.#oldest.next())
    return this
  }

  override delete(value: Value): boolean {
    const isDeleted = super.delete(value)
    if (isDeleted) this.#oldest.reset()
    return isDeleted
  }

  override clear(): void {
    super.clear()
    this.#oldest.reset()
  }
}

/**
 * The first key of a collection that is not empty. V8 removes deleted entries only when it resizes the table, so a new
 * iterator for each eviction would skip thousands of them. Each key found must be deleted, and other deletions reset
 * the iterator, because one that does not advance retains all tables replaced since.
 */
class FirstKey<Key> {
  readonly #collection: { keys(): Iterator<Key> }
  #iterator: Iterator<Key> | null = null

  constructor(collection: { keys(): Iterator<Key> }) {
    this.#collection = collection
  }

  next(): Key {
    this.#iterator ??= this.#collection.keys()
    return this.#iterator.next().value as Key
  }

  reset(): void {
    this.#iterator = null
  }
}
