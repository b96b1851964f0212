import { readFileSync } from 'node:fs'
import { onReadable } from '../../../linux/poll.ts'
import { type IdsEvent, openProcEvents } from '../../../linux/proc-events.ts'
import { queue } from '../../../lib/queue.ts'
import type { CollectorTask } from '../../../lib/collector-task.ts'
import type { ModeContext } from './mode.ts'
import { parseStatus, readProcess } from '../table/procfs-process.ts'
import type { ProcessTracker } from '../tracker.ts'

/** Applies an id change without an exec, as by setuid(2), and its effect on the capabilities. */
export function applyIdChange(
  change: IdsEvent,
  sinceBoot: number,
  tracker: ProcessTracker,
  context: ModeContext,
): void {
  const { procRoot, table } = context
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
  // Only container processes are reported, so only theirs are read.
  const read = known.membership === null ? undefined : readCapabilities(procRoot, change)
  // If it has exited: a process that gives up root loses its capabilities (capabilities(7)).
  const capabilities = read ?? (change.effective === 0 ? known.capabilities : 0)
  tracker.idsChanged(change.pid, { uid: change.real, euid: change.effective, capabilities }, sinceBoot)
}

/** Id changes, for a mode that gets all other events elsewhere. */
export type CredentialEvents = {
  /** Applies the changes before a time (milliseconds since boot), so that they precede a later exec. */
  applyBefore: (sinceBoot: number) => void
  /** How many changes were dropped since the last call because the socket was full. */
  takeLost: () => number
}

/** Listens for id changes only; calls `onReady` when there are some to apply. */
export function watchCredentialEvents(
  tracker: ProcessTracker,
  context: ModeContext,
  { cleanUp }: Pick<CollectorTask, 'cleanUp'>,
  onReady: () => void,
): CredentialEvents {
  const socket = openProcEvents({ idsOnly: true })
  cleanUp(() => socket.close())
  const polling = onReadable(socket.fd, onReady)
  cleanUp(() => polling.close())
  const received = queue<{ change: IdsEvent; sinceBoot: number }>()
  const { clock } = context
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
      applyIdChange(next.change, next.sinceBoot, tracker, context)
    }
  }

  function takeLost(): number {
    const before = dropped
    dropped = socket.dropped()
    return dropped - before
  }

  return { applyBefore, takeLost }
}

/** For hosts where id changes are not available. */
export const noCredentialEvents: CredentialEvents = { applyBefore: () => {}, takeLost: () => 0 }

// How many are received before yielding to other work.
const batch = 500

/** Reads those of the thread itself: the C library changes all threads, but one after the other. */
function readCapabilities(procRoot: string, { pid, thread }: IdsEvent): number | undefined {
  try {
    return parseStatus(readFileSync(`${procRoot}/${pid}/task/${thread}/status`, 'latin1'))?.capabilities
  } catch {
    return undefined
  }
}
