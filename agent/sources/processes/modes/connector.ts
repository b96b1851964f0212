import type { Observation } from '../../../model/observation.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import { onReadable } from '../../../linux/poll.ts'
import { openProcEvents, type ProcEvent, type ProcEventSocket } from '../../../linux/proc-events.ts'
import type { EventsLost } from '../../../model/observation.ts'
import { takeIds } from './credential-events.ts'
import { noProgram } from '../table/known-process.ts'
import { type Attached, type Mode, nextTurnWithinMs, type Surroundings } from './mode.ts'
import { collector } from '../../../lib/collector-task.ts'
import { readProcess, readStat } from '../table/procfs-process.ts'
import { prove } from './self-test.ts'
import { scanProcesses } from './scan.ts'
import { processTracker, type ProcessTracker } from '../tracker.ts'

/**
 * Is told of every fork, exec and exit by the kernel's proc connector, but only by pid: /proc has the rest for as
 * long as the process lives. Of one that is gone already, only what it inherited is known.
 */
export const connector: Mode = (surroundings) =>
  collector<Observation | Attached>(async (emit, { signal, cleanUp, fail }) => {
    const { now, proveMs, pulse } = surroundings
    const tracker = processTracker({ ...surroundings, emit })
    cleanUp(() => tracker.close())
    const socket = openProcEvents({ idsOnly: false })
    cleanUp(() => socket.close())
    const reader = eventReader(socket, tracker, surroundings)
    const read = () => {
      try {
        reader.read()
      } catch (error) {
        fail(error)
      }
    }
    const polling = onReadable(socket.fd, read)
    cleanUp(() => polling.close())

    const scan = () => scanProcesses({ ...surroundings, tracker, signal, beforeSlice: read })
    await scan()
    await prove(surroundings, { exits: true, signal })
    emit({ kind: 'attached', lacking: '' })

    let provenAt = performance.now()
    let hadLost = false
    for (;;) {
      pulse(nextTurnWithinMs)
      await sleep(1_000, undefined, { signal })
      const { gaps, unreadable, gone } = reader.takeLosses()
      for (const lost of [
        lossOf('sequence-gap', gaps),
        lossOf('unreadable', unreadable),
        // What they ran is not known; that they ran was told.
        lossOf('gone-before-read', gone),
      ]) {
        if (lost.count > 0) emit(lost)
      }
      // Once more a second later: a process may begin and end, unseen, around a scan.
      const hasLost = gaps + unreadable > 0
      if (hasLost || hadLost) await scan()
      hadLost = hasLost
      if (performance.now() - provenAt < proveMs) continue
      await prove(surroundings, { exits: true, signal })
      provenAt = performance.now()
    }

    function lossOf(reason: string, count: number): EventsLost {
      return { kind: 'events-lost', time: now(), source: 'processes', reason, count }
    }
  })

export type EventReader = {
  /** Takes what there is, for at most some milliseconds. */
  read(): void
  takeLosses(): ConnectorLosses
}

export type ConnectorLosses = { gaps: number; unreadable: number; gone: number }

const sliceMs = 10

/** Turns events into what the tracker is told, and counts what is missing between them. */
export function eventReader(
  socket: Pick<ProcEventSocket, 'receive'>,
  tracker: ProcessTracker,
  surroundings: Surroundings,
): EventReader {
  const { clock, procRoot, table } = surroundings
  // The last number of each processor's own sequence.
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
      if (message.event !== null) take(message.event, Number(message.monotonicNs) / 1e6 + asleep)
    }
  }

  function countGap(processor: number, sequence: number): void {
    const last = sequences.get(processor)
    // The acknowledgement of our own request comes with a processor of -1 (cn_proc_ack of the kernel).
    if (processor < maxProcessors) sequences.set(processor, sequence)
    if (last !== undefined) losses.gaps += (sequence - last - 1) >>> 0
  }

  function take(event: ProcEvent, sinceBoot: number): void {
    switch (event.what) {
      case 'fork':
        return takeFork(event.pid, event.parentPid, sinceBoot)
      case 'exec':
        return takeExec(event.pid, sinceBoot)
      case 'exit':
        return tracker.exited(event.pid, null, sinceBoot, exitCode(event.code))
      default:
        return takeIds(event, sinceBoot, tracker, surroundings)
    }
  }

  function takeFork(pid: number, makerPid: number, sinceBoot: number): void {
    const maker = table.get(makerPid)
    if (maker === undefined) return
    const stat = readStat(procRoot, pid)
    const startTicks = stat?.startTicks ?? Math.floor(sinceBoot / 10)
    const parentPid = stat?.parentPid ?? makerPid
    tracker.forked({ pid, startTicks, parentPid, makerPid, uid: maker.uid, euid: maker.euid }, sinceBoot)
  }

  function takeExec(pid: number, sinceBoot: number): void {
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
