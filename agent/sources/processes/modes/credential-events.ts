import { readFileSync } from 'node:fs'
import { onReadable } from '../../../linux/poll.ts'
import { type IdsEvent, openProcEvents } from '../../../linux/proc-events.ts'
import { fifo } from '../../../lib/fifo.ts'
import type { CollectorTask } from '../../../lib/collector-task.ts'
import type { Surroundings } from './mode.ts'
import { parseStatus, readProcess } from '../table/procfs-process.ts'
import type { ProcessTracker } from '../tracker.ts'

/** Takes over ids that a process changed by itself, as setuid(2) does, with what that did to its capabilities. */
export function takeIds(
  change: IdsEvent,
  sinceBoot: number,
  tracker: ProcessTracker,
  surroundings: Surroundings,
): void {
  const { procRoot, table } = surroundings
  const known = table.get(change.pid)
  if (known === undefined) {
    const seen = readProcess(procRoot, change.pid)
    if (seen !== null) tracker.found(seen, sinceBoot)
    return
  }
  if (change.what === 'gid') {
    tracker.idsChanged(change.pid, { gid: change.real }, sinceBoot)
    return
  }
  // Only processes of containers are reported, and only theirs are worth a look.
  const read = known.membership === null ? undefined : readCapabilities(procRoot, change)
  // Whoever gives up root loses them (capabilities(7)), should it be gone already.
  const capabilities = read ?? (change.effective === 0 ? known.capabilities : 0)
  tracker.idsChanged(change.pid, { uid: change.real, euid: change.effective, capabilities }, sinceBoot)
}

/** Changes of ids as they are told beside something that sees everything else. */
export type IdsWatch = {
  /** Tells the tracker what happened before a moment (milliseconds since boot): an exec after it must not come first. */
  applyBefore: (sinceBoot: number) => void
  /** How many changes had no room since the last call. */
  takeLost: () => number
}

/** Listens for changes of ids alone; `onNews` is called when there are some to apply. */
export function watchIds(
  tracker: ProcessTracker,
  surroundings: Surroundings,
  { cleanUp }: Pick<CollectorTask, 'cleanUp'>,
  onNews: () => void,
): IdsWatch {
  const socket = openProcEvents({ idsOnly: true })
  cleanUp(() => socket.close())
  const polling = onReadable(socket.fd, onNews)
  cleanUp(() => polling.close())
  const received = fifo<{ change: IdsEvent; sinceBoot: number }>()
  const { clock } = surroundings
  let asleep = { ms: clock.asleep(), asOf: clock.sinceBoot() }
  let receivedAt = 0
  let dropped = 0

  function receive(): void {
    receivedAt = clock.sinceBoot()
    for (let count = 0; count < batch; count++) {
      const message = socket.receive()
      if (message === null) return
      const change = message?.event
      if (change?.what !== 'uid' && change?.what !== 'gid') continue
      received.push({ change, sinceBoot: Number(message?.monotonicNs) / 1e6 + timeAsleep() })
    }
  }

  function timeAsleep(): number {
    const now = clock.sinceBoot()
    if (now > asleep.asOf + 1_000) asleep = { ms: clock.asleep(), asOf: now }
    return asleep.ms
  }

  function applyBefore(sinceBoot: number): void {
    if (sinceBoot > receivedAt) receive()
    for (
      let next = received.first();
      next !== undefined && next.sinceBoot < sinceBoot;
      next = received.first()
    ) {
      received.shift()
      takeIds(next.change, next.sinceBoot, tracker, surroundings)
    }
  }

  function takeLost(): number {
    const before = dropped
    dropped = socket.dropped()
    return dropped - before
  }

  return { applyBefore, takeLost }
}

/** Where changes of ids cannot be listened for. */
export const noIdsWatch: IdsWatch = { applyBefore: () => {}, takeLost: () => 0 }

// So many are received before other work gets its turn.
const batch = 500

/** Of the thread itself: the C library changes all threads, but one after the other. */
function readCapabilities(procRoot: string, { pid, thread }: IdsEvent): number | undefined {
  try {
    return parseStatus(readFileSync(`${procRoot}/${pid}/task/${thread}/status`, 'latin1'))?.capabilities
  } catch {
    return undefined
  }
}
