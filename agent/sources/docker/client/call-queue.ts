import { queue } from '../../../lib/queue.ts'

/** Calls to the engine, a few at a time: it serves other clients too, and the queue must be bounded. */
export type CallQueue = {
  /** False if the queue is full and the call is not made. `onResult` gets undefined if the call failed. */
  call<T>(send: () => Promise<T>, onResult: (result: T | undefined) => void): boolean
  open(): void
  /** Drops the queued calls and takes no new ones. */
  close(): void
}

export function createCallQueue({ concurrency, limit }: { concurrency: number; limit: number }): CallQueue {
  const waiting = queue<Call>(limit)
  let running = 0
  let isOpen = false

  function next(): void {
    if (running === concurrency) return
    const call = waiting.shift()
    if (call === undefined) return
    running += 1
    void call.send().finally(() => {
      running -= 1
      next()
    })
  }

  return {
    call(send, onResult) {
      if (!isOpen) return false
      const taken = waiting.push({
        send: async () => onResult(await send().catch(() => undefined)),
        drop: () => onResult(undefined),
      })
      next()
      return taken
    },
    open() {
      isOpen = true
    },
    close() {
      isOpen = false
      for (let call = waiting.shift(); call !== undefined; call = waiting.shift()) call.drop()
    },
  }
}

type Call = { send: () => Promise<void>; drop: () => void }
