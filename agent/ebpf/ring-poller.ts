import { onReadable } from '../linux/poll.ts'
import type { RingReader } from './ring.ts'
import type { CollectorTask } from '../lib/collector-task.ts'

/**
 * Drains when there is something, but not again within some milliseconds: on a busy host one wake-up for many
 * records costs a quarter of a wake-up for each, and while there is always something the clock alone wakes us.
 * Returns what drains at once, and tells whether there is more.
 */
export function readCoalesced(
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
    // Who is told of a record and asks for more in the same breath gets it when this one is done.
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
