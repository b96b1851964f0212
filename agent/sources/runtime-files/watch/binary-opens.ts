import { closeSync } from 'node:fs'
import { defer, EMPTY, finalize, ignoreElements, merge, type Observable, Subject, tap } from 'rxjs'
import { fan, fileHandle, markPath, openFanotify, readFanotify } from '../../../linux/fanotify.ts'
import { SystemCallError } from '../../../linux/libc.ts'
import { onReadable } from '../../../linux/poll.ts'
import type { EventsLost, RuntimeFileObservation, RuntimeFileOpened } from '../../../model/observation.ts'
import { isRuntimeProgram } from '../../../model/runtime-program.ts'
import { queue } from '../../../lib/queue.ts'
import { tryRead, tryStat } from '../integrity/files.ts'
import { type WatchedBinary, openerResolver, type OpenerOptions } from './opener.ts'
import { locateFile } from '../paths/file-location.ts'
import { eventsLost } from '../../../model/source-reports.ts'

export type BinaryOpensOptions = OpenerOptions & {
  /** Epoch milliseconds. */
  now: () => number
  /** The known runtime files; a file is emitted again whenever it changes. */
  files$: Observable<RuntimeFileObservation>
}

/**
 * Reports container processes that open a runtime binary without using one of the container's own mounts: through
 * /proc/PID/exe of the runtime while it enters the container, which is how CVE-2019-5736 begins, or by running
 * /proc/self/exe in its place. It has a fanotify group of its own, so that a flood of opens from a container loses
 * no write events. Completes immediately when fanotify is not available.
 */
export function binaryOpens(options: BinaryOpensOptions): Observable<RuntimeFileOpened | EventsLost> {
  return defer(() => {
    const group = tryOpen()
    return group === null ? EMPTY : readOpens(group, options)
  })
}

type QueuedOpen = { pid: number; file: WatchedBinary; time: number; hasExited: boolean }

function readOpens(group: number, options: BinaryOpensOptions) {
  const { files$, procRoot, now } = options
  const opens$ = new Subject<RuntimeFileOpened | EventsLost>()
  const byHandle = new Map<string, WatchedBinary>()
  const waiting = queue<QueuedOpen>()
  const exited: QueuedOpen[] = []
  let retryTimer: NodeJS.Timeout | undefined
  let readTimer: NodeJS.Timeout | undefined
  const { resolveRunning, resolveExited } = openerResolver(options)
  const polling = onReadable(group, wake)
  let nextSlice: NodeJS.Immediate | undefined

  /**
   * Reads immediately and then pauses for some milliseconds: a container start opens the files many times, and one
   * wake-up for each open would be most of the cost.
   */
  function wake(): void {
    read()
    polling.pause()
    readTimer = setTimeout(() => {
      read()
      polling.resume()
    }, COALESCE_MS)
  }

  function read(): void {
    for (let turn = 0; turn < BUFFERS_PER_TURN; turn++) {
      const batch = readFanotify(group)
      if (batch === null) break
      const isLost = !batch.intact || batch.events.some(({ mask }) => (mask & fan.Q_OVERFLOW) !== 0)
      if (isLost) reportLoss('opens-overflow')
      for (const { pid, subjects } of batch.events) {
        const file = subjects.map(({ handle }) => byHandle.get(handle)).find((one) => one !== undefined)
        if (file !== undefined && pid !== process.pid) enqueue({ pid, file, time: now(), hasExited: false })
      }
    }
    drain()
  }

  function enqueue(one: QueuedOpen): void {
    if (waiting.size < MAX_QUEUED) waiting.push(one)
    else reportLoss('opens-queue-full')
  }

  function drain(): void {
    clearImmediate(nextSlice)
    const sliceEnds = performance.now() + SLICE_MS
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      inspect(next)
      if (performance.now() < sliceEnds) continue
      nextSlice = setImmediate(drain)
      return
    }
  }

  function inspect({ pid, file, time, hasExited }: QueuedOpen): void {
    const opener = hasExited ? resolveExited(pid, file) : resolveRunning(pid, file)
    if (opener === 'gone') retryLater({ pid, file, time, hasExited: true })
    else if (opener !== null) opens$.next({ kind: 'runtime-file-opened', time, path: file.path, ...opener })
  }

  /** The process table learns of a process some milliseconds after the open. */
  function retryLater(one: QueuedOpen): void {
    if (exited.length >= MAX_QUEUED) return reportLoss('opens-queue-full')
    exited.push(one)
    retryTimer ??= setTimeout(() => {
      retryTimer = undefined
      for (const each of exited.splice(0)) enqueue(each)
      drain()
    }, TABLE_DELAY_MS)
  }

  function mark(observation: RuntimeFileObservation): void {
    const { path, after } = observation
    const found = after !== null && isRuntimeProgram(observation) ? tryStat(path) : null
    // Another file may have replaced it by now; `files$` will report that soon.
    if (found === null || found.dev !== after?.device || found.ino !== after.inode) return
    try {
      markPath(group, path, fan.OPEN)
      for (const [handle, file] of byHandle) if (file.path === path) byHandle.delete(handle)
      const location = locateFile(tryRead(`${procRoot}/1/mountinfo`), path)
      byHandle.set(fileHandle(path), { path, location, device: found.dev, inode: found.ino })
    } catch (error) {
      // The watch for writes already reports files that cannot be marked.
      if (!(error instanceof SystemCallError)) throw error
    }
  }

  function reportLoss(reason: string): void {
    opens$.next(eventsLost('runtime-files', now(), reason))
  }

  const marks$ = files$.pipe(tap(mark), ignoreElements())
  return merge(opens$, marks$).pipe(
    finalize(() => {
      clearImmediate(nextSlice)
      clearTimeout(retryTimer)
      clearTimeout(readTimer)
      polling.close()
      closeSync(group)
    }),
  )
}

// Inspecting one opener reads /proc, which takes some 50 µs for a process of a container.
const SLICE_MS = 5
const MAX_QUEUED = 16_384
const TABLE_DELAY_MS = 100
const COALESCE_MS = 20

// Yield to the event loop after this many buffers of 64 KiB, about 1,000 events each.
const BUFFERS_PER_TURN = 4

function tryOpen(): number | null {
  try {
    return openFanotify()
  } catch (error) {
    if (error instanceof SystemCallError) return null
    throw error
  }
}
