import type { Observation } from '../../../model/observation.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import { onReadable } from '../../../linux/poll.ts'
import { openProcEvents, type ProcEvent, type ProcEventSocket } from '../../../linux/proc-events.ts'
import type { EventsLost } from '../../../model/observation.ts'
import { applyIdChange } from './credential-events.ts'
import { noProgram } from '../table/known-process.ts'
import { type Attached, type Mode, nextPulseWithinMs, type ModeContext } from './mode.ts'
import { collector } from '../../../lib/collector-task.ts'
import { readProcess, readStat } from '../table/procfs-process.ts'
import { runSelfTest } from './self-test.ts'
import { scanProcesses } from './scan.ts'
import { processTracker, type ProcessTracker } from '../tracker.ts'
import { eventsLost } from '../../../model/source-reports.ts'

/**
 * Gets every fork, exec and exit from the kernel's proc connector, but only its pid: the rest is read from /proc while
 * the process runs. If it has exited already, only what it inherited is known.
 */
export const connector: Mode = (context) =>
  collector<Observation | Attached>(async (emit, { signal, cleanUp, fail }) => {
    const { now, selfTestMs, pulse } = context
    const tracker = processTracker({ ...context, emit })
    cleanUp(() => tracker.close())
    const socket = openProcEvents({ idsOnly: false })
    cleanUp(() => socket.close())
    const reader = eventReader(socket, tracker, context)
    const read = () => {
      try {
        reader.read()
      } catch (error) {
        fail(error)
      }
    }
    const polling = onReadable(socket.fd, read)
    cleanUp(() => polling.close())

    const scan = () => scanProcesses({ ...context, tracker, signal, beforeSlice: read })
    await scan()
    await runSelfTest(context, { exits: true, signal })
    emit({ kind: 'attached', lacking: '' })

    let testedAt = performance.now()
    let hadLost = false
    for (;;) {
      pulse(nextPulseWithinMs)
      await sleep(1_000, undefined, { signal })
      const { gaps, unreadable, gone } = reader.takeLosses()
      for (const lost of [
        lossOf('sequence-gap', gaps),
        lossOf('unreadable', unreadable),
        // Their execs were reported, but without a program.
        lossOf('gone-before-read', gone),
      ]) {
        if (lost.count > 0) emit(lost)
      }
      // Scan again a second later: a process may have started or exited unseen during the scan.
      const hasLost = gaps + unreadable > 0
      if (hasLost || hadLost) await scan()
      hadLost = hasLost
      if (performance.now() - testedAt < selfTestMs) continue
      await runSelfTest(context, { exits: true, signal })
      testedAt = performance.now()
    }

    function lossOf(reason: string, count: number): EventsLost {
      return eventsLost('processes', now(), reason, count)
    }
  })

export type EventReader = {
  /** Reads the available events, for some milliseconds at most. */
  read(): void
  takeLosses(): ConnectorLosses
}

export type ConnectorLosses = { gaps: number; unreadable: number; gone: number }

const sliceMs = 10

/** Passes events to the tracker, and counts gaps in their sequence. */
export function eventReader(
  socket: Pick<ProcEventSocket, 'receive'>,
  tracker: ProcessTracker,
  context: ModeContext,
): EventReader {
  const { clock, procRoot, table } = context
  // The last sequence number of each processor.
  const sequences = new Map<number, number>()
  let losses: ConnectorLosses = { gaps: 0, unreadable: 0, gone: 0 }

  function read(): void {
    const until = performance.now() + sliceMs
    const asleep = clock.asleep()
    while (performance.now() < until) {
      const message = socket.receive()
      if (message === null) return
      if (message === undefined) {
        losses.unreadable++
        continue
      }
      countGap(message.processor, message.sequence)
      if (message.event !== null) handle(message.event, Number(message.monotonicNs) / 1e6 + asleep)
    }
  }

  function countGap(processor: number, sequence: number): void {
    const last = sequences.get(processor)
    // The acknowledgement of our own request comes with a processor of -1 (cn_proc_ack of the kernel).
    if (processor < maxProcessors) sequences.set(processor, sequence)
    if (last !== undefined) losses.gaps += (sequence - last - 1) >>> 0
  }

  function handle(event: ProcEvent, sinceBoot: number): void {
    switch (event.what) {
      case 'fork':
        return handleFork(event.pid, event.parentPid, sinceBoot)
      case 'exec':
        return handleExec(event.pid, sinceBoot)
      case 'exit':
        return tracker.exited(event.pid, null, sinceBoot, exitCode(event.code))
      default:
        return applyIdChange(event, sinceBoot, tracker, context)
    }
  }

  function handleFork(pid: number, creatorPid: number, sinceBoot: number): void {
    const creator = table.get(creatorPid)
    if (creator === undefined) return
    const stat = readStat(procRoot, pid)
    const startTicks = stat?.startTicks ?? Math.floor(sinceBoot / 10)
    const parentPid = stat?.parentPid ?? creatorPid
    tracker.forked(
      { pid, startTicks, parentPid, creatorPid, uid: creator.uid, euid: creator.euid },
      sinceBoot,
    )
  }

  function handleExec(pid: number, sinceBoot: number): void {
    const seen = readProcess(procRoot, pid)
    if (seen !== null) {
      tracker.executed(seen, sinceBoot, false)
      return
    }
    losses.gone++
    const inherited = table.get(pid)
    if (inherited !== undefined)
      tracker.executed({ ...inherited, program: () => noProgram }, sinceBoot, false)
  }

  function takeLosses(): ConnectorLosses {
    const taken = losses
    losses = { gaps: 0, unreadable: 0, gone: 0 }
    return taken
  }

  return { read, takeLosses }
}

// CONFIG_NR_CPUS is 8,192 at most.
const maxProcessors = 8_192

function exitCode(code: number): { status: number; signal: number } {
  return { status: (code >>> 8) & 0xff, signal: code & 0x7f }
}
