import { onReadable } from '../linux/poll.ts'
import type { RingReader } from './ring.ts'
import type { CollectorTask } from '../lib/collector-task.ts'

/**
 * Drains the ring when it becomes readable, then pauses for some milliseconds: on a busy host, one wake-up for many
 * records costs a quarter of one wake-up for each. While records keep arriving, a timer alone wakes us.
 * Returns a function that drains at once and returns whether more remain.
 */
export function pollRing(
  { fd, taken }: { fd: number } & Pick<RingReader, 'taken'>,
  drain: () => boolean,
  { fail, cleanUp }: Pick<CollectorTask, 'fail' | 'cleanUp'>,
): () => boolean {
  let timer: NodeJS.Timeout | undefined
  let isOpen = true
  let isReading = false
  const polling = onReadable(fd, wake)
  cleanUp(() => {
    isOpen = false
    polling.close()
    clearTimeout(timer)
  })

  function read(): boolean {
    // A record's callback may call this again: the running drain continues with the remaining records.
    if (isReading) return false
    isReading = true
    try {
      return isOpen && drain()
    } catch (error) {
      fail(error)
      return false
    } finally {
      isReading = false
    }
  }

  function wake(): void {
    read()
    polling.pause()
    if (isOpen) timer = setTimeout(readAgain, coalesceMs)
  }

  function readAgain(): void {
    const before = taken()
    if (read()) timer = setTimeout(readAgain)
    else if (taken() === before) polling.resume()
    else if (isOpen) timer = setTimeout(readAgain, coalesceMs)
  }

  return read
}

const coalesceMs = 5
