/** Items waiting, per container, until the engine has described the container. */
export type WaitQueue<Item> = {
  /** Returns false when the item need not wait: its container is known, or waiting for it has timed out. */
  hold(container: string, item: Item): boolean
  /** Releases, in order, the items whose container is known or whose wait has timed out. */
  release(): void
  /** Releases all items, because nothing more will become known. */
  releaseAll(): void
  readonly size: number
}

export type WaitQueueOptions<Item> = {
  isKnown: (container: string, item: Item) => boolean
  release: (item: Item) => void
  /** Whether an event or a list of the engine has named the container. */
  isNamed: (container: string) => boolean
  /** Whether the engine was asked and has not answered yet. */
  isPending: (container: string) => boolean
  /** Monotonic milliseconds. */
  now: () => number
  /** How long items wait for the rest of a named container, counted from the container's first item. */
  waitMs?: number
  /** How long they wait for the name: the event that has it is read late on a busy host. */
  nameWaitMs?: number
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
  isNamed,
  release: releaseItem,
  isPending,
  now,
  waitMs = 1_000,
  nameWaitMs = defaultNameWaitMs,
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
    // First, because it asks the engine about a container that it has not named.
    const isOpen = isPending(container)
    if (isOpen) return waitedMs >= maxWaitMs
    return waitedMs >= (isNamed(container) ? waitMs : nameWaitMs)
  }

  function release(): void {
    for (const [container, queue] of waiting) {
      const { since, items } = queue
      const first = items[0]
      if (first !== undefined && (isKnown(container, first) || hasTimedOut(container, queue)))
        releaseQueue(items)
      if (items.length === 0 && now() - since >= nameWaitMs + forgetMs) waiting.delete(container)
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
    releaseAll,
    get size() {
      return size
    },
  }
}

/**
 * The longest wait for a container's name if the engine, when asked, does not know the container: it was removed, and
 * the events about it are still to be read; or it belongs to another engine.
 */
export const defaultNameWaitMs = 5_000

// Long enough that the execs of one burst do not each wait; short enough to bound the memory.
const forgetMs = 60_000
