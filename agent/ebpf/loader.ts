import { closeSync } from 'node:fs'
import {
  attachRawTracepoint,
  createMap,
  loadProgram,
  mapTypes,
  missedRuns,
  programTypes,
  readMap,
} from '../linux/bpf.ts'
import type { Btf } from '../linux/btf/btf.ts'
import { openCounters } from './counters.ts'
import { openRing, type RingReader } from './ring.ts'
import type { Maps } from './blocks.ts'
import type { Hierarchy } from './cgroups.ts'
import { budget as budgetLayout, counters as counterLayout, maxPrograms, scratchBytes } from './layout.ts'
import { program, type Program } from './program.ts'

/** A tracepoint to attach to, and the code that writes its records. */
export type TracepointProgram = {
  /** At most 15 characters. */
  name: string
  /** A raw tracepoint. */
  tracepoint: string
  /** Set if runs that the kernel skips, for an interrupt during a run, never concern events this program reports. */
  missesNothing?: true
  write: (p: Program, context: ProgramContext) => void
}

/** `ringFull` is the program's counter of records dropped because the ring was full. */
export type ProgramContext = { maps: Maps; hierarchy: Hierarchy; budget: number; ringFull: number }

export type RuntimeOptions = {
  btf: Btf
  programs: readonly TracepointProgram[]
  hierarchy: Hierarchy
  /** Events per second allowed for one container. */
  budget: number
  /** A power of two. */
  ringBytes: number
}

/** Programs attached to the kernel. */
export type Runtime = RingReader & {
  /** Readable when records are available. */
  fd: number
  /** Events not reported since the start, as counted in the kernel. */
  losses(): Losses
  /** How many events of a container were dropped over its budget, by the budget key in its records. */
  dropped(budgetKey: bigint): number
  close(): void
}

export type Losses = {
  /** Records dropped because the ring was full, of all programs. */
  ringFull: number
  /** The same by name of the program. */
  ringFullOf: Readonly<Record<string, number>>
  /** Events of containers that exceeded their budget. */
  overBudget: number
  /** Runs that the kernel skipped. */
  missed: number
}

/** Generates the programs for this kernel, loads and attaches them; `close` removes everything. */
export function startRuntime({ btf, programs, hierarchy, budget, ringBytes }: RuntimeOptions): Runtime {
  if (programs.length > maxPrograms) throw new Error(`more than ${maxPrograms} programs`)
  using opening = new DisposableStack()
  const closeLater = (fd: number) => opening.adopt(fd, closeSync)
  const ring = opening.adopt(openRing(ringBytes), (one) => one.close())
  const { perCpuArray, lruHash } = mapTypes
  const { fd: counters, count } = openCounters(opening)
  const budgets = closeLater(
    createMap({ type: lruHash, keySize: 8, valueSize: budgetLayout.length, entries: 4_096 }),
  )

  // Not in a closure, which would keep 5 MB of type information alive as long as the runtime.
  const loaded: number[] = []
  for (const [index, { name, write }] of programs.entries()) {
    // One buffer for each program: on some kernels one can interrupt another.
    const scratch = closeLater(
      createMap({ type: perCpuArray, keySize: 4, valueSize: scratchBytes, entries: 1 }),
    )
    const p = program(btf)
    const maps = { ring: ring.fd, scratch, counters, budgets }
    write(p, { maps, hierarchy, budget, ringFull: ringFullCounter(index) })
    loaded.push(closeLater(loadProgram(programTypes.rawTracepoint, name, p.assemble())))
  }
  for (const [index, fd] of loaded.entries())
    closeLater(attachRawTracepoint(programs[index]?.tracepoint ?? '', fd))
  const mayMiss = loaded.filter((_fd, index) => programs[index]?.missesNothing !== true)

  const resources = opening.move()
  const names = programs.map(({ name }) => name)
  const value = Buffer.alloc(budgetLayout.length)
  const key = Buffer.alloc(8)
  return {
    fd: ring.fd,
    drain: ring.drain,
    taken: ring.taken,
    losses() {
      const ringFull = names.map((name, index) => [name, count(ringFullCounter(index))] as const)
      return {
        ringFull: ringFull.reduce((sum, [, lost]) => sum + lost, 0),
        ringFullOf: Object.fromEntries(ringFull),
        overBudget: count(counterLayout.overBudget),
        missed: mayMiss.reduce((sum, fd) => sum + missedRuns(fd), 0),
      }
    },
    dropped(budgetKey) {
      key.writeBigUInt64LE(budgetKey)
      return readMap(budgets, key, value) ? Number(value.readBigUInt64LE(budgetLayout.dropped)) : 0
    },
    close: () => resources.dispose(),
  }
}

function ringFullCounter(index: number): number {
  return counterLayout.ringFull + index * 8
}
