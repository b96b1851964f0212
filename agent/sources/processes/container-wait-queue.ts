/** Items waiting, per container, until the engine has described the container. */
export type WaitQueue<Item> = {
  /** Returns false when the item need not wait: its container is known, or waiting for it has timed out. */
  hold(container: string, item: Item): boolean
  /** Releases, in order, the items whose container is known or whose wait has timed out. */
  release(): void
  readonly size: number
}

export type WaitQueueOptions<Item> = {
  isKnown: (container: string, item: Item) => boolean
  release: (item: Item) => void
  /** Whether the engine was asked and has not answered yet. */
  isPending: (container: string) => boolean
  /** Monotonic milliseconds. */
  now: () => number
  /** How long items wait for the engine to report a container, counted from the container's first item. */
  waitMs?: number
  /** The limit while a request to the engine is pending: on a busy host the answer takes seconds. */
  maxWaitMs?: number
  maxItems?: number
}

/**
 * The kernel reports a container's processes before the engine reports the container; without a name they are
 * useless. All items of a container wait together; for a minute after their wait has timed out, later ones pass.
 */
export function containerWaitQueue<Item>({
  isKnown,
  release: releaseItem,
  isPending,
  now,
  waitMs = 1_000,
  maxWaitMs = 30_000,
  maxItems = 10_000,
}: WaitQueueOptions<Item>): WaitQueue<Item> {
  const waiting = new Map<string, { since: number; items: Item[] }>()
  let size = 0

  function hold(container: string, item: Item): boolean {
    const queue = waiting.get(container)
    const isEmpty = queue === undefined || queue.items.length === 0
    if (isEmpty && (isKnown(container, item) || (queue !== undefined && hasTimedOut(container, queue))))
      return false
    if (size >= maxItems) releaseAll()
    const { items } = queue ?? addQueue(container)
    items.push(item)
    size++
    return true
  }

  function addQueue(container: string): { items: Item[] } {
    const queue = { since: now(), items: [] }
    waiting.set(container, queue)
    return queue
  }

  function hasTimedOut(container: string, { since }: { since: number }): boolean {
    const waitedMs = now() - since
    return waitedMs >= waitMs && (waitedMs >= maxWaitMs || !isPending(container))
  }

  function release(): void {
    for (const [container, queue] of waiting) {
      const { since, items } = queue
      const first = items[0]
      if (first !== undefined && (isKnown(container, first) || hasTimedOut(container, queue)))
        releaseQueue(items)
      if (items.length === 0 && now() - since >= waitMs + forgetMs) waiting.delete(container)
    }
  }

  function releaseAll(): void {
    for (const { items } of waiting.values()) releaseQueue(items)
  }

  function releaseQueue(items: Item[]): void {
    size -= items.length
    for (const item of items.splice(0)) releaseItem(item)
  }

  return {
    hold,
    release,
    get size() {
      return size
    },
  }
}

// Long enough that the execs of one burst do not each wait a second; short enough to bound the memory.
const forgetMs = 60_000
