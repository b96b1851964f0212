import { frame, r0, r1, r2, r3, r4, r6, r7, r8, r9, type Register } from '../../../ebpf/assembler.ts'
import { count, type Maps, writeCommon } from '../../../ebpf/blocks.ts'
import { type Hierarchy, readCgroups } from '../../../ebpf/cgroups.ts'
import { executed, limits, scratchBytes } from '../../../ebpf/layout.ts'
import { helpers, type Program, slots } from '../../../ebpf/program.ts'

/** How much is kept of a value: as much as the longest of them has room for. */
export const valueBytes = 256

/**
 * Where things stand in a record, beside what all records begin with and the cgroup's names, which stand where an
 * exec's do. A length is negative where the kernel could not tell, or -E2BIG where there was more than is kept.
 */
export const sysctlRecord = {
  name: executed.inode, // u32, its place in the list of names
  position: executed.inode + 4, // u32, where in the file was written
  beforeLength: executed.mountNamespace, // s32
  writtenLength: executed.pidNamespace, // s32
  before: executed.tail + limits.cgroupEnd,
  written: executed.tail + limits.cgroupEnd + valueBytes,
  /** More than is written to: what the verifier needs to see that names of cgroups fit. */
  length: scratchBytes,
} as const

/** Cells of the array in which the program counts, u64 each: accesses to the sysctls it is about, and records without room. */
export const sysctlCounters = { accesses: 0, lost: 8 } as const

export type SysctlProgramOptions = {
  maps: Pick<Maps, 'ring' | 'counters'>
  hierarchy: Hierarchy
  /** Below /proc/sys, at most 62 bytes each. */
  names: readonly string[]
}

/**
 * Tells of each write to one of the sysctls, with the value before and what was written, in the context of who writes.
 * It runs at every access to any sysctl, so what is about another leaves after a look at the name; and it lets
 * everything pass, always: the program must have been started with the verdict 1.
 */
export function writeSysctlProgram(p: Program, { maps, hierarchy, names }: SysctlProgramOptions): void {
  const isWatched = p.newLabel()
  const isWrite = p.newLabel()
  const hasRoom = p.newLabel()
  p.move(r6, r1)
  askFor(p, helpers.sysctlName, frame, slots.path, nameBytes)
  for (const [index, name] of names.entries()) jumpIfName(p, name, index, isWatched)
  p.leave()

  p.label(isWatched)
  // Also counts who only reads: as we do, to see that the program is at work.
  count(p, maps, sysctlCounters.accesses)
  p.load(4, r1, r6, context.write)
  p.jumpIf(r1, '!=', 0, isWrite)
  p.leave()

  // In the ring at once, and not in a buffer of this processor: here another task may come in between.
  p.label(isWrite)
  p.loadMap(r1, maps.ring)
  p.move(r2, sysctlRecord.length)
  p.move(r3, 0)
  p.call(helpers.ringReserve)
  p.jumpIf(r0, '!=', 0, hasRoom)
  count(p, maps, sysctlCounters.lost)
  p.leave()

  p.label(hasRoom)
  p.move(r7, r0)
  p.store(4, r7, executed.flags, 0)
  p.store(4, r7, sysctlRecord.name, r8)
  p.load(4, r1, r6, context.position)
  p.store(4, r7, sysctlRecord.position, r1)
  askFor(p, helpers.sysctlCurrentValue, r7, sysctlRecord.before, valueBytes)
  p.store(4, r7, sysctlRecord.beforeLength, r0)
  askFor(p, helpers.sysctlNewValue, r7, sysctlRecord.written, valueBytes)
  p.store(4, r7, sysctlRecord.writtenLength, r0)
  p.call(helpers.currentTask)
  p.move(r6, r0)
  writeCommon(p, recordType, r6)
  readCgroups(p, hierarchy)
  p.store(4, r7, executed.cgroupEnd, r9)
  p.move(r1, r7)
  p.move(r2, 0)
  p.call(helpers.ringSubmit)
  p.leave()
}

/** No other program writes into this ring. */
const recordType = 1

// struct bpf_sysctl of linux/bpf.h.
const context = { write: 0, position: 4 } as const

const nameBytes = 64

/** r0 = length of what the kernel puts there, or an error; the context is in r6. */
function askFor(p: Program, helper: number, base: Register, offset: number, length: number): void {
  p.move(r1, r6)
  p.move(r2, base)
  p.add(r2, offset)
  p.move(r3, length)
  p.move(r4, 0)
  p.call(helper)
}

/** r0 is the length of the name in the frame; r8 becomes the index where it is the one. */
function jumpIfName(p: Program, name: string, index: number, to: string): void {
  const isOther = p.newLabel()
  const bytes = Buffer.from(name)
  p.jumpIf(r0, '!=', bytes.length, isOther)
  for (const [at, byte] of bytes.entries()) {
    p.load(1, r1, frame, slots.path + at)
    p.jumpIf(r1, '!=', byte, isOther)
  }
  p.move(r8, index)
  p.jump(to)
  p.label(isOther)
}
