import { createQueue } from '../../../lib/bounded-queue.ts'

export type DrainOptions<T> = {
  /** How many items may wait. */
  limit: number
  handle: (item: T) => void
  /** Called after each slice, also when only `wake` asked for one. */
  afterSlice: () => void
}

/** Work taken in at once and done later, in slices so short that the event loop stays free for other things. */
export type Drain<T> = {
  /** False when there is no room: then the item was not taken. */
  push(item: T): boolean
  wake(): void
  /** Calls back once all that was taken is done. */
  finish(done: () => void): void
  /** What still waits is left undone. */
  stop(): void
}

export function createDrain<T>({ limit, handle, afterSlice }: DrainOptions<T>): Drain<T> {
  const queue = createQueue<T>(limit)
  let scheduled: NodeJS.Immediate | undefined
  let onEmpty: (() => void) | undefined
  let stopped = false

  function wake(): void {
    if (!stopped) scheduled ??= setImmediate(runSlice)
  }

  function runSlice(): void {
    scheduled = undefined
    const end = performance.now() + sliceMs
    while (queue.size > 0 && performance.now() < end) handle(queue.shift() as T)
    afterSlice()
    if (queue.size > 0) wake()
    else onEmpty?.()
  }

  return {
    wake,
    push(item) {
      wake()
      return queue.push(item)
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
