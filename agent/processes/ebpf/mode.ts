/**
 * Processes told by the kernel itself: programs assembled here for the running kernel, without a compiler.
 *
 * To be read in this order: `../../kernel/btf.ts` (how this kernel lays out its structures), `assembler.ts` and
 * `program.ts` (machine code), `layout.ts` (what a record looks like), `blocks.ts`, `cgroups.ts`, `paths.ts` and
 * `budget.ts` (what programs are made of), `exec.ts`, `fork.ts` and `exit.ts` (the programs), `runtime.ts` (which
 * loads any such program and owns what it needs), `../../kernel/ring.ts` (how records come out), `decode.ts`.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { errorCode, messageOf } from '../../errors.ts'
import { readBtf } from '../../kernel/btf.ts'
import { onReadable } from '../../kernel/poll.ts'
import { noIdsWatch, watchIds } from '../ids-without-exec.ts'
import { type Course, courseOf, type Mode, type Surroundings } from '../mode.ts'
import { prove } from '../proof.ts'
import { scanProcesses } from '../scan.ts'
import { processTracker } from '../tracker.ts'
import { recordDecoder, recordTime } from './decode.ts'
import { execProgram } from './exec.ts'
import { exitProgram } from './exit.ts'
import { forkProgram } from './fork.ts'
import { findHierarchy } from './hierarchy.ts'
import { lossReport } from './losses.ts'
import { type Runtime, startRuntime } from './runtime.ts'

/** Sees every exec, fork and exit of the host, however short, and counts what it could not be told. */
export const ebpf: Mode = (surroundings) =>
  courseOf(async (emit, course) => {
    const { proveMs } = surroundings
    const { signal, cleanUp } = course
    const tracker = processTracker({ ...surroundings, emit })
    cleanUp(() => tracker.close())
    const runtime = attach(surroundings)
    cleanUp(() => runtime.close())
    const decoder = recordDecoder(tracker)
    const losses = lossReport(runtime, decoder, surroundings, emit)
    let unreadable = 0
    let ids = noIdsWatch
    const drain = (): boolean => {
      const isMore = runtime.drain((bytes, offset, length) => {
        ids.applyBefore(recordTime(bytes, offset))
        if (!decoder.decode(bytes, offset, length)) unreadable++
      }, sliceMs)
      if (!isMore) ids.applyBefore(Infinity)
      return isMore
    }
    const read = readCoalesced(runtime.fd, drain, course)
    let lacking = ''
    try {
      ids = watchIds(tracker, surroundings, course, read)
    } catch (error) {
      lacking = `changes of uid without exec are seen late, for want of CAP_NET_ADMIN: ${messageOf(error)}`
    }

    const scan = () => scanProcesses({ ...surroundings, tracker, signal, beforeSlice: read })
    await scan()
    await prove(surroundings, { exits: true, signal })
    emit({ kind: 'attached', lacking })

    let provenAt = performance.now()
    let hadLost = false
    for (;;) {
      await sleep(1_000, undefined, { signal })
      const hasLost = losses.report({ unreadable, lostIds: ids.takeLost() })
      unreadable = 0
      // Once more a second later: a process may begin and end, unseen, around a scan.
      if (hasLost || hadLost) await scan()
      hadLost = hasLost
      if (performance.now() - provenAt < proveMs) continue
      await prove(surroundings, { exits: true, signal })
      provenAt = performance.now()
    }
  })

function attach({ procRoot, budget, ringBytes }: Surroundings): Runtime {
  return startRuntime({
    btf: readBtf(readTypeInformation()),
    programs: [exitProgram, forkProgram, execProgram],
    hierarchy: findHierarchy(procRoot),
    budget,
    ringBytes,
  })
}

function readTypeInformation(): Buffer {
  try {
    return readFileSync('/sys/kernel/btf/vmlinux')
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
    throw new Error('the kernel has no type information (CONFIG_DEBUG_INFO_BTF, usual since Linux 5.8)', {
      cause: error,
    })
  }
}

/**
 * Drains when there is something, but not again within some milliseconds: on a busy host one wake-up for many
 * records costs a quarter of a wake-up for each. Returns what drains at once.
 */
function readCoalesced(fd: number, drain: () => boolean, { fail, cleanUp }: Course): () => void {
  let timer: NodeJS.Timeout | undefined
  let isOpen = true
  const polling = onReadable(fd, wake)
  cleanUp(() => {
    isOpen = false
    polling.close()
    clearTimeout(timer)
  })

  function read(): boolean {
    try {
      return isOpen && drain()
    } catch (error) {
      fail(error)
      return false
    }
  }

  function wake(): void {
    read()
    polling.pause()
    if (isOpen) timer = setTimeout(readAgain, coalesceMs)
  }

  function readAgain(): void {
    if (read()) timer = setTimeout(readAgain)
    else polling.resume()
  }

  return () => void read()
}

const coalesceMs = 5

// The event loop is shared with everything else the daemon does.
const sliceMs = 10
