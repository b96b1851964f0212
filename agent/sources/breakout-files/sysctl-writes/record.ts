import { type Cgroup, cgroupOf } from '../../processes/attribution/cgroup.ts'
import { common, maxCgroupEnd } from '../../../ebpf/layout.ts'
import { cgroupNames, recordTime, startTicks } from '../../../ebpf/record.ts'
import { sysctlRecord, valueBytes } from './program.ts'

/** One write to a sysctl, reported by the kernel just before it is carried out. */
export type SysctlWrite = {
  /** Index in the list of names that the program was generated for. */
  index: number
  pid: number
  startTicks: number
  uid: number
  euid: number
  /** Milliseconds since boot. */
  sinceBoot: number
  cgroup: Cgroup
  /** Null if the kernel could not read it. */
  before: string | null
  /** Byte offset in the file. */
  position: number
  written: Buffer
}

/** Decodes a record of the program; null if it is malformed. */
export function decodeSysctlWrite(bytes: Buffer, offset: number, length: number): SysctlWrite | null {
  const u32 = (field: number) => bytes.readUInt32LE(offset + field)
  if (length < sysctlRecord.length || u32(sysctlRecord.cgroupEnd) > maxCgroupEnd) return null
  const { names, truncated } = cgroupNames(bytes, offset)
  const beforeLength = bytes.readInt32LE(offset + sysctlRecord.beforeLength)
  const before = valueIn(bytes, offset + sysctlRecord.before, beforeLength)
  const writtenLength = bytes.readInt32LE(offset + sysctlRecord.writtenLength)
  return {
    index: u32(sysctlRecord.name),
    pid: u32(common.pid),
    startTicks: startTicks(bytes, offset),
    uid: u32(common.uid),
    euid: u32(common.euid),
    sinceBoot: recordTime(bytes, offset),
    cgroup: cgroupOf(names, truncated),
    before: before === null ? null : before.toString().replace(/\n$/, ''),
    position: u32(sysctlRecord.position),
    written: valueIn(bytes, offset + sysctlRecord.written, writtenLength) ?? Buffer.alloc(0),
  }
}

/** A copy, because `bytes` belongs to the ring. */
function valueIn(bytes: Buffer, start: number, length: number): Buffer | null {
  // On truncation the kernel fills the buffer and ends it with a NUL.
  const size = length === -E2BIG ? valueBytes - 1 : length
  return size < 0 || size > valueBytes ? null : Buffer.from(bytes.subarray(start, start + size))
}

const E2BIG = 7
