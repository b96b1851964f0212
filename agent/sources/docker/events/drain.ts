import { queue } from '../../../lib/queue.ts'

export type DrainOptions<T> = {
  /** How many items may wait. */
  limit: number
  handle: (item: T) => void
  /** Called after each slice, even if only `wake` requested it. */
  afterSlice: () => void
}

/** Queues items immediately and handles them later, in slices short enough to keep the event loop free. */
export type Drain<T> = {
  /** False if the queue is full; the item was not taken. */
  push(item: T): boolean
  wake(): void
  /** Calls back once the queue is empty. */
  finish(done: () => void): void
  /** Items still queued are not handled. */
  stop(): void
}

export function createDrain<T>({ limit, handle, afterSlice }: DrainOptions<T>): Drain<T> {
  const items = queue<T>(limit)
  let scheduled: NodeJS.Immediate | undefined
  let onEmpty: (() => void) | undefined
  let stopped = false

  function wake(): void {
    if (!stopped) scheduled ??= setImmediate(runSlice)
  }

  function runSlice(): void {
    scheduled = undefined
    const end = performance.now() + sliceMs
    while (items.size > 0 && performance.now() < end) handle(items.shift() as T)
    afterSlice()
    if (items.size > 0) wake()
    else onEmpty?.()
  }

  return {
    wake,
    push(item) {
      wake()
      return items.push(item)
    },
    finish(done) {
      onEmpty = done
      wake()
    },
    stop() {
      stopped = true
      clearImmediate(scheduled)
    },
  }
}

const sliceMs = 5
