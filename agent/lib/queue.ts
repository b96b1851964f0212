/** A first-in, first-out queue whose operations cost the same at any length: `Array.shift` moves all other items. */
export type Queue<T> = {
  readonly size: number
  /** False if the queue is full; the item is then not added. */
  push(item: T): boolean
  first(): T | undefined
  shift(): T | undefined
}

export function queue<T>(limit = Infinity): Queue<T> {
  let items: (T | undefined)[] = []
  let start = 0
  return {
    get size() {
      return items.length - start
    },
    push(item) {
      if (items.length - start >= limit) return false
      items.push(item)
      return true
    },
    first: () => items[start],
    shift() {
      const item = items[start]
      // What was taken out must not stay in memory until the next compaction.
      if (start < items.length) items[start++] = undefined
      if (start >= 1_024 && start * 2 >= items.length) {
        items = items.slice(start)
        start = 0
      }
      return item
    },
  }
}
