import {
  attachRawTracepoint,
  createMap,
  loadProgram,
  mapTypes,
  missedRuns,
  programTypes,
  readMap,
} from '../linux/bpf.ts'
import type { Btf } from '../linux/btf.ts'
import { keptOpen, openCounters } from './open-resources.ts'
import { openRing, type RingReader } from './ring.ts'
import type { Maps } from './blocks.ts'
import type { Hierarchy } from './cgroups.ts'
import { budget as budgetLayout, counters as counterLayout, scratchBytes } from './layout.ts'
import { program, type Program } from './program.ts'

/** One thing to be told by the kernel: where to listen, and the code that makes records of it. */
export type TracepointProgram = {
  /** At most 15 characters. */
  name: string
  /** A raw tracepoint. */
  tracepoint: string
  /** An interrupt may pass here while the program runs; what it is not run for then is nothing that it tells of. */
  missesNothing?: true
  write: (p: Program, context: ProgramContext) => void
}

export type ProgramContext = { maps: Maps; hierarchy: Hierarchy; budget: number }

export type RuntimeOptions = {
  btf: Btf
  programs: readonly TracepointProgram[]
  hierarchy: Hierarchy
  /** Events of one container in a second. */
  budget: number
  /** A power of two. */
  ringBytes: number
}

/** Programs at work in the kernel. */
export type Runtime = RingReader & {
  /** Readable when there are records. */
  fd: number
  /** What was not told since the start, by the kernel's count. */
  losses(): Losses
  /** How many events of a container were dropped, by its key in exec records. */
  dropped(budgetKey: bigint): number
  close(): void
}

export type Losses = {
  executed: number
  forked: number
  exited: number
  requested: number
  victims: number
  overBudget: number
  missed: number
}

/** Writes the programs for this kernel, has it verify them, and attaches them; `close` leaves nothing behind. */
export function startRuntime({ btf, programs, hierarchy, budget, ringBytes }: RuntimeOptions): Runtime {
  const kept = keptOpen()

  try {
    const ring = openRing(ringBytes)
    kept.also(() => ring.close())
    const { perCpuArray, lruHash } = mapTypes
    const { fd: counters, count } = openCounters(kept)
    const budgets = kept.fd(
      createMap({ type: lruHash, keySize: 8, valueSize: budgetLayout.length, entries: 4_096 }),
    )

    // Not in a closure, which would keep the type information for as long as the runtime lives: 5 MB.
    const loaded: number[] = []
    for (const { name, write } of programs) {
      // A buffer each: on some kernels one program can interrupt another.
      const scratch = kept.fd(
        createMap({ type: perCpuArray, keySize: 4, valueSize: scratchBytes, entries: 1 }),
      )
      const p = program(btf)
      write(p, { maps: { ring: ring.fd, scratch, counters, budgets }, hierarchy, budget })
      loaded.push(kept.fd(loadProgram(programTypes.rawTracepoint, name, p.assemble())))
    }
    for (const [index, fd] of loaded.entries())
      kept.fd(attachRawTracepoint(programs[index]?.tracepoint ?? '', fd))
    const countable = loaded.filter((_fd, index) => programs[index]?.missesNothing !== true)

    const value = Buffer.alloc(budgetLayout.length)
    const key = Buffer.alloc(8)
    return {
      fd: ring.fd,
      drain: ring.drain,
      taken: ring.taken,
      losses: () => ({
        executed: count(counterLayout.lostExecuted),
        forked: count(counterLayout.lostForked),
        exited: count(counterLayout.lostExited),
        requested: count(counterLayout.lostRequested),
        victims: count(counterLayout.lostVictims),
        overBudget: count(counterLayout.overBudget),
        missed: countable.reduce((sum, fd) => sum + missedRuns(fd), 0),
      }),
      dropped(budgetKey) {
        key.writeBigUInt64LE(budgetKey)
        return readMap(budgets, key, value) ? Number(value.readBigUInt64LE(budgetLayout.dropped)) : 0
      },
      close: kept.close,
    }
  } catch (error) {
    kept.close()
    throw error
  }
}
