import { frame, r0, r1, r2, r3, r4, r6, r7, r8, r9, type Register } from '../../../ebpf/assembler.ts'
import { count, type Maps, writeHeader } from '../../../ebpf/blocks.ts'
import { type Hierarchy, readCgroups } from '../../../ebpf/cgroups.ts'
import { cgroupFields, maxCgroupEnd, scratchBytes } from '../../../ebpf/layout.ts'
import { helpers, type Program, slots } from '../../../ebpf/program.ts'

/** How many bytes of a value are recorded: the size of the longest of these sysctls. */
export const valueBytes = 256

/**
 * The fields of a record behind the common header, including the writer's cgroup. A length is negative if the kernel
 * could not read the value; it is -E2BIG if the value was truncated.
 */
export const sysctlRecord = {
  ...cgroupFields,
  beforeLength: 56, // s32
  writtenLength: 60, // s32
  name: 88, // u32, index in the list of names
  position: 92, // u32, offset of the write in the file
  before: cgroupFields.tail + maxCgroupEnd,
  written: cgroupFields.tail + maxCgroupEnd + valueBytes,
  /** Longer than what is written, so that the verifier can prove that cgroup names fit. */
  length: scratchBytes,
} as const

/** Offsets of the program's u64 counters: accesses to the watched sysctls, and records dropped by a full ring. */
export const sysctlCounters = { accesses: 0, lost: 8 } as const

export type SysctlProgramOptions = {
  maps: Pick<Maps, 'ring' | 'counters'>
  hierarchy: Hierarchy
  /** Below /proc/sys, at most 62 bytes each. */
  names: readonly string[]
}

/**
 * Reports each write to one of the sysctls, with the old and the written value, in the context of the writer. It runs
 * at every access to any sysctl, so it returns early unless the name matches. It always allows the access: the
 * program must have been created with the verdict 1.
 */
export function writeSysctlProgram(p: Program, { maps, hierarchy, names }: SysctlProgramOptions): void {
  const isWatched = p.newLabel()
  const isWrite = p.newLabel()
  const hasRoom = p.newLabel()
  p.move(r6, r1)
  callHelper(p, helpers.sysctlName, frame, slots.path, nameBytes)
  for (const [index, name] of names.entries()) jumpIfName(p, name, index, isWatched)
  p.leave()

  p.label(isWatched)
  // Reads count too: we read the sysctls to check that the program works.
  count(p, maps, sysctlCounters.accesses)
  p.load(4, r1, r6, context.write)
  p.jumpIf(r1, '!=', 0, isWrite)
  p.leave()

  // Directly in the ring, not in a per-CPU buffer: another task may preempt this one here.
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
  p.store(4, r7, sysctlRecord.flags, 0)
  p.store(4, r7, sysctlRecord.name, r8)
  p.load(4, r1, r6, context.position)
  p.store(4, r7, sysctlRecord.position, r1)
  callHelper(p, helpers.sysctlCurrentValue, r7, sysctlRecord.before, valueBytes)
  p.store(4, r7, sysctlRecord.beforeLength, r0)
  callHelper(p, helpers.sysctlNewValue, r7, sysctlRecord.written, valueBytes)
  p.store(4, r7, sysctlRecord.writtenLength, r0)
  p.call(helpers.currentTask)
  p.move(r6, r0)
  writeHeader(p, recordType, r6)
  readCgroups(p, hierarchy)
  p.store(4, r7, sysctlRecord.cgroupEnd, r9)
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

/** r0 = length of what the kernel writes there, or an error; the context is in r6. */
function callHelper(p: Program, helper: number, base: Register, offset: number, length: number): void {
  p.move(r1, r6)
  p.move(r2, base)
  p.add(r2, offset)
  p.move(r3, length)
  p.move(r4, 0)
  p.call(helper)
}

/** Jumps if the name in the frame, whose length is in r0, equals `name`; r8 = index. */
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
