/** First in, first out, for thousands: an array's own shift moves all the others. */
export type Fifo<Item> = {
  push: (item: Item) => void
  first: () => Item | undefined
  shift: () => Item | undefined
  length: () => number
}

/** Starts an empty one. */
export function fifo<Item>(): Fifo<Item> {
  let items: (Item | undefined)[] = []
  let start = 0

  function shift(): Item | undefined {
    const item = items[start]
    if (start < items.length) items[start++] = undefined
    if (start >= 1_024 && start * 2 >= items.length) {
      items = items.slice(start)
      start = 0
    }
    return item
  }

  return {
    push: (item) => void items.push(item),
    first: () => items[start],
    shift,
    length: () => items.length - start,
  }
}
