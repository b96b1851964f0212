import { createQueue } from '../../../lib/bounded-queue.ts'

/** Questions to the engine, a few at a time: it serves others too, and what waits must not grow without end. */
export type CallQueue = {
  /** False when it will not be asked, because too many wait. `answered` gets undefined when asking failed. */
  call<T>(ask: () => Promise<T>, answered: (answer: T | undefined) => void): boolean
  open(): void
  /** What waits is not asked any more, and nothing new is taken. */
  close(): void
}

export function createCallQueue({ concurrency, limit }: { concurrency: number; limit: number }): CallQueue {
  const waiting = createQueue<Call>(limit)
  let running = 0
  let isOpen = false

  function next(): void {
    if (running === concurrency) return
    const call = waiting.shift()
    if (call === undefined) return
    running += 1
    void call.ask().finally(() => {
      running -= 1
      next()
    })
  }

  return {
    call(ask, answered) {
      if (!isOpen) return false
      const taken = waiting.push({
        ask: async () => answered(await ask().catch(() => undefined)),
        giveUp: () => answered(undefined),
      })
      next()
      return taken
    },
    open() {
      isOpen = true
    },
    close() {
      isOpen = false
      for (let call = waiting.shift(); call !== undefined; call = waiting.shift()) call.giveUp()
    },
  }
}

type Call = { ask: () => Promise<void>; giveUp: () => void }
