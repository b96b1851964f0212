import { closeSync } from 'node:fs'
import { defer, EMPTY, finalize, ignoreElements, merge, type Observable, Subject, tap } from 'rxjs'
import { fan, fileHandle, markPath, openFanotify, readFanotify } from '../../../linux/fanotify.ts'
import { SystemCallError } from '../../../linux/libc.ts'
import { onReadable } from '../../../linux/poll.ts'
import type { EventsLost, RuntimeFileObservation, RuntimeFileOpened } from '../../../model/observation.ts'
import { isRuntimeProgram } from '../../../model/runtime-program.ts'
import { fifo } from '../../../lib/fifo.ts'
import { tryRead, tryStat } from '../integrity/files.ts'
import { type Opened, openers, type OpenersOptions } from './opener.ts'
import { placeOf } from '../paths/file-location.ts'

export type RuntimeFileOpensOptions = OpenersOptions & {
  /** Epoch milliseconds. */
  now: () => number
  /** Which files there are, and whenever one becomes another. */
  files$: Observable<RuntimeFileObservation>
}

/**
 * Tells who in a container opens a runtime file by none of the container's mounts: through /proc/PID/exe of the runtime
 * on its way in, which is what CVE-2019-5736 begins with, or by running /proc/self/exe in its place. A group of
 * events of its own: what a container floods here costs no event of a write. Completes at once without the right.
 */
export function runtimeFileOpens(
  options: RuntimeFileOpensOptions,
): Observable<RuntimeFileOpened | EventsLost> {
  return defer(() => {
    const group = tryOpen()
    return group === null ? EMPTY : opensIn(group, options)
  })
}

type Waiting = { pid: number; file: Opened; time: number; isGone: boolean }

function opensIn(group: number, options: RuntimeFileOpensOptions) {
  const { files$, procRoot, now } = options
  const seen$ = new Subject<RuntimeFileOpened | EventsLost>()
  const byHandle = new Map<string, Opened>()
  const waiting = fifo<Waiting>()
  const gone: Waiting[] = []
  let goneTimer: NodeJS.Timeout | undefined
  let readTimer: NodeJS.Timeout | undefined
  const { living, remembered } = openers(options)
  const polling = onReadable(group, wake)
  let more: NodeJS.Immediate | undefined

  /** At once, but not again within some milliseconds: one wake-up for each of a start's opens costs the most of it. */
  function wake(): void {
    read()
    polling.pause()
    readTimer = setTimeout(() => {
      read()
      polling.resume()
    }, coalesceMs)
  }

  function read(): void {
    for (let turn = 0; turn < buffersPerTurn; turn++) {
      const batch = readFanotify(group)
      if (batch === null) break
      const isLost = !batch.intact || batch.events.some(({ mask }) => (mask & fan.Q_OVERFLOW) !== 0)
      if (isLost) lose('opens-overflow')
      for (const { pid, subjects } of batch.events) {
        const file = subjects.map(({ handle }) => byHandle.get(handle)).find((one) => one !== undefined)
        if (file !== undefined && pid !== process.pid) enqueue({ pid, file, time: now(), isGone: false })
      }
    }
    work()
  }

  function enqueue(one: Waiting): void {
    if (waiting.length() < maxWaiting) waiting.push(one)
    else lose('opens-queue-full')
  }

  function work(): void {
    clearImmediate(more)
    const sliceEnds = performance.now() + sliceMs
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      look(next)
      if (performance.now() < sliceEnds) continue
      more = setImmediate(work)
      return
    }
  }

  function look({ pid, file, time, isGone }: Waiting): void {
    const opener = isGone ? remembered(pid, file) : living(pid, file)
    if (opener === 'gone') later({ pid, file, time, isGone: true })
    else if (opener !== null) seen$.next({ kind: 'runtime-file-opened', time, path: file.path, ...opener })
  }

  /** The process table hears of a process some milliseconds after this. */
  function later(one: Waiting): void {
    if (gone.length >= maxWaiting) return lose('opens-queue-full')
    gone.push(one)
    goneTimer ??= setTimeout(() => {
      goneTimer = undefined
      for (const each of gone.splice(0)) enqueue(each)
      work()
    }, tableMs)
  }

  function mark(seen: RuntimeFileObservation): void {
    const { path, after } = seen
    const found = after !== null && isRuntimeProgram(seen) ? tryStat(path) : null
    // By now another file may stand there, which is told soon.
    if (found === null || found.dev !== after?.device || found.ino !== after.inode) return
    try {
      markPath(group, path, fan.OPEN)
      for (const [handle, file] of byHandle) if (file.path === path) byHandle.delete(handle)
      const place = placeOf(tryRead(`${procRoot}/1/mountinfo`), path)
      byHandle.set(fileHandle(path), { path, place, device: found.dev, inode: found.ino })
    } catch (error) {
      // That a file cannot be marked is said where its writes are watched.
      if (!(error instanceof SystemCallError)) throw error
    }
  }

  function lose(reason: string): void {
    seen$.next({ kind: 'events-lost', time: now(), source: 'runtime-files', reason, count: 1 })
  }

  const marks$ = files$.pipe(tap(mark), ignoreElements())
  return merge(seen$, marks$).pipe(
    finalize(() => {
      clearImmediate(more)
      clearTimeout(goneTimer)
      clearTimeout(readTimer)
      polling.close()
      closeSync(group)
    }),
  )
}

// Each costs a look at /proc, of some 50 µs for a process of a container.
const sliceMs = 5
const maxWaiting = 16_384
const tableMs = 100
const coalesceMs = 20

// The loop gets its turn after this many buffers of 64 KiB, about 1,000 events each.
const buffersPerTurn = 4

function tryOpen(): number | null {
  try {
    return openFanotify()
  } catch (error) {
    if (error instanceof SystemCallError) return null
    throw error
  }
}
