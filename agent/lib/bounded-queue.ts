/** First in, first out, never longer than its limit, and as cheap when it is long as when it is short. */
export type Queue<T> = {
  readonly size: number
  /** False when the queue is full: then the item was not taken. */
  push(item: T): boolean
  shift(): T | undefined
}

export function createQueue<T>(limit: number): Queue<T> {
  let items: T[] = []
  let first = 0
  return {
    get size() {
      return items.length - first
    },
    push(item) {
      if (items.length - first >= limit) return false
      items.push(item)
      return true
    },
    shift() {
      if (first === items.length) return undefined
      const item = items[first] as T
      first += 1
      // Array.shift moves every item; this moves each at most once on average.
      if (first * 2 > items.length) {
        items = items.slice(first)
        first = 0
      }
      return item
    },
  }
}
