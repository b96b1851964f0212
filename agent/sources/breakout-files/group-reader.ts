import { closeSync } from 'node:fs'
import { fan, readFanotify } from '../../linux/fanotify.ts'
import type { FanotifyEvent } from '../../linux/fanotify-events.ts'
import { onReadable, type Polling } from '../../linux/poll.ts'

/** Reads groups of fanotify, in slices: who makes events in a loop must not stop the event loop. */
export type GroupReader = {
  /** Takes over a group's descriptor; `tell` is called for each of its events, in their order. */
  add(fd: number, tell: (event: FanotifyEvent) => void): void
  /** Tells what waits, for some milliseconds; true when there is more, which is told soon. */
  drain(): boolean
  close(): void
}

export type GroupReaderOptions = {
  /** Events were not told; one at least. */
  lost(reason: string): void
  /** Nothing more will be told. */
  failed(error: unknown): void
}

/** Starts without a group. */
export function groupReader({ lost, failed }: GroupReaderOptions): GroupReader {
  const groups: { fd: number; tell: (event: FanotifyEvent) => void; polling: Polling }[] = []
  let backlog: { event: FanotifyEvent; tell: (event: FanotifyEvent) => void }[] = []
  let told = 0
  let isOpen = true
  let timer: NodeJS.Timeout | undefined

  /** At once, but not again within some milliseconds: a container that starts writes to its cgroups a hundred times. */
  function wake(): void {
    timer = undefined
    try {
      const isMore = drain()
      if (!isOpen) return
      for (const { polling } of groups) {
        if (isMore) polling.pause()
        else rest(polling)
      }
      if (isMore) timer ??= setTimeout(wake)
    } catch (error) {
      close()
      failed(error)
    }
  }

  function rest(polling: Polling): void {
    polling.pause()
    timer ??= setTimeout(() => {
      timer = undefined
      for (const group of groups) group.polling.resume()
    }, coalesceMs)
  }

  function drain(): boolean {
    const until = performance.now() + sliceMs
    while (told < backlog.length || fill()) {
      const { event, tell } = backlog[told++] ?? {}
      if (event !== undefined) tell?.(event)
      if (performance.now() > until) return true
    }
    return false
  }

  /** One buffer of each group. */
  function fill(): boolean {
    backlog = []
    told = 0
    for (const { fd, tell } of groups) {
      const batch = readFanotify(fd)
      if (batch === null) continue
      for (const event of batch.events) {
        if ((event.mask & fan.Q_OVERFLOW) !== 0) lost('overflow')
        else backlog.push({ event, tell })
      }
      if (!batch.intact) lost('malformed')
    }
    return backlog.length > 0
  }

  function close(): void {
    isOpen = false
    clearTimeout(timer)
    for (const { event } of backlog.slice(told))
      if (event.descriptor !== undefined) closeSync(event.descriptor)
    for (const { fd, polling } of groups.splice(0)) {
      polling.close()
      closeSync(fd)
    }
  }

  return {
    add: (fd, tell) => void groups.push({ fd, tell, polling: onReadable(fd, wake) }),
    drain,
    close,
  }
}

const coalesceMs = 5

// The event loop is shared with everything else the daemon does.
const sliceMs = 5
