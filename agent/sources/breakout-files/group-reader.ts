import { closeSync } from 'node:fs'
import { fan, readFanotify } from '../../linux/fanotify.ts'
import type { FanotifyEvent } from '../../linux/fanotify-events.ts'
import { onReadable, type Polling } from '../../linux/poll.ts'

/** Reads fanotify groups in slices: a process that causes events in a loop must not block the event loop. */
export type GroupReader = {
  /** Takes ownership of a group's descriptor; `onEvent` is called for each of its events, in order. */
  add(fd: number, onEvent: (event: FanotifyEvent) => void): void
  /** Delivers pending events, for at most some milliseconds; true when more remain, which are delivered soon. */
  drain(): boolean
  close(): void
}

export type GroupReaderOptions = {
  /** At least one event was lost. */
  lost(reason: string): void
  /** No more events will be delivered. */
  failed(error: unknown): void
}

export function groupReader({ lost, failed }: GroupReaderOptions): GroupReader {
  const resources = new DisposableStack()
  let groups: { fd: number; onEvent: (event: FanotifyEvent) => void; polling: Polling }[] = []
  let backlog: { event: FanotifyEvent; onEvent: (event: FanotifyEvent) => void }[] = []
  let delivered = 0
  let isOpen = true
  let timer: NodeJS.Timeout | undefined

  /** Reads at once, then pauses for some milliseconds: a starting container writes to its cgroups a hundred times. */
  function wake(): void {
    timer = undefined
    try {
      const isMore = drain()
      if (!isOpen) return
      for (const { polling } of groups) {
        if (isMore) polling.pause()
        else pauseBriefly(polling)
      }
      if (isMore) timer ??= setTimeout(wake)
    } catch (error) {
      close()
      failed(error)
    }
  }

  function pauseBriefly(polling: Polling): void {
    polling.pause()
    timer ??= setTimeout(() => {
      timer = undefined
      for (const group of groups) group.polling.resume()
    }, coalesceMs)
  }

  function drain(): boolean {
    const until = performance.now() + sliceMs
    while (delivered < backlog.length || fill()) {
      const { event, onEvent } = backlog[delivered++] ?? {}
      if (event !== undefined) onEvent?.(event)
      if (performance.now() > until) return true
    }
    return false
  }

  /** Reads one buffer of events from each group. */
  function fill(): boolean {
    backlog = []
    delivered = 0
    for (const { fd, onEvent } of groups) {
      const batch = readFanotify(fd)
      if (batch === null) continue
      for (const event of batch.events) {
        if ((event.mask & fan.Q_OVERFLOW) !== 0) lost('overflow')
        else backlog.push({ event, onEvent })
      }
      if (!batch.intact) lost('malformed')
    }
    return backlog.length > 0
  }

  function add(fd: number, onEvent: (event: FanotifyEvent) => void): void {
    resources.adopt(fd, closeSync)
    const polling = resources.adopt(onReadable(fd, wake), (one) => one.close())
    groups.push({ fd, onEvent, polling })
  }

  function close(): void {
    isOpen = false
    clearTimeout(timer)
    const undelivered = backlog.slice(delivered)
    backlog = []
    groups = []
    for (const { event } of undelivered)
      if (event.descriptor !== undefined) resources.adopt(event.descriptor, closeSync)
    resources.dispose()
  }

  return { add, drain, close }
}

const coalesceMs = 5

// The daemon's other work shares the event loop.
const sliceMs = 5
