/** Things that wait, by the container they are of, until the engine has told what it is. */
export type Held<Item> = {
  /** Returns false when there is no need to wait: this container is known, or was waited for in vain. */
  hold(container: string, item: Item): boolean
  /** Lets go, in their order, of those that need not or must not wait any longer. */
  release(): void
  readonly size: number
}

export type HeldOptions<Item> = {
  isKnown: (container: string, item: Item) => boolean
  release: (item: Item) => void
  /** Whether the engine was asked and has not answered yet. */
  isPending: (container: string) => boolean
  /** Milliseconds that only ever go forward. */
  now: () => number
  /** How long after the first sight of a container its items wait for the engine to report it. */
  waitMs?: number
  /** The same while the engine is being asked: on a busy host its answer takes seconds. Afterwards nothing waits. */
  maxWaitMs?: number
  maxItems?: number
}

/** The kernel speaks of a container before the engine does, and an exec of one nobody can name helps nobody. */
export function held<Item>({
  isKnown,
  release: letGo,
  isPending,
  now,
  waitMs = 1_000,
  maxWaitMs = 30_000,
  maxItems = 10_000,
}: HeldOptions<Item>): Held<Item> {
  const waiting = new Map<string, { since: number; items: Item[] }>()
  let size = 0

  function hold(container: string, item: Item): boolean {
    const queue = waiting.get(container)
    const isEmpty = queue === undefined || queue.items.length === 0
    if (isEmpty && (isKnown(container, item) || (queue !== undefined && isOver(container, queue))))
      return false
    if (size >= maxItems) releaseAll()
    const { items } = queue ?? remember(container)
    items.push(item)
    size++
    return true
  }

  function remember(container: string): { items: Item[] } {
    const queue = { since: now(), items: [] }
    waiting.set(container, queue)
    return queue
  }

  function isOver(container: string, { since }: { since: number }): boolean {
    const waitedMs = now() - since
    return waitedMs >= waitMs && (waitedMs >= maxWaitMs || !isPending(container))
  }

  function release(): void {
    for (const [container, queue] of waiting) {
      const { since, items } = queue
      const first = items[0]
      if (first !== undefined && (isKnown(container, first) || isOver(container, queue))) empty(items)
      if (items.length === 0 && now() - since >= waitMs + forgetMs) waiting.delete(container)
    }
  }

  function releaseAll(): void {
    for (const { items } of waiting.values()) empty(items)
  }

  function empty(items: Item[]): void {
    size -= items.length
    for (const item of items.splice(0)) letGo(item)
  }

  return {
    hold,
    release,
    get size() {
      return size
    },
  }
}

// Long enough for a container's burst of execs not to wait a second each, short enough to bound the memory.
const forgetMs = 60_000
