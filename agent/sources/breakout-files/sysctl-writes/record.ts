import type { Cgroup } from '../../processes/attribution/cgroup.ts'
import { cgroupIn, recordTime, startTicks } from '../../processes/modes/ebpf/decode.ts'
import { common, executed, limits } from '../../../ebpf/layout.ts'
import { sysctlRecord, valueBytes } from './program.ts'

/** One write to a sysctl, told by the kernel just before it is carried out. */
export type SysctlWrite = {
  /** Place in the list of names that the program was made for. */
  index: number
  pid: number
  startTicks: number
  uid: number
  euid: number
  /** Milliseconds since boot. */
  sinceBoot: number
  cgroup: Cgroup
  /** Null where the kernel could not tell. */
  before: string | null
  /** Byte offset in the file. */
  position: number
  written: Buffer
}

/** Reads a record of the program; null for what is none. */
export function decodeSysctlWrite(bytes: Buffer, offset: number, length: number): SysctlWrite | null {
  const u32 = (field: number) => bytes.readUInt32LE(offset + field)
  if (length < sysctlRecord.length || u32(executed.cgroupEnd) > limits.cgroupEnd) return null
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
    cgroup: cgroupIn(bytes, offset),
    before: before === null ? null : before.toString().replace(/\n$/, ''),
    position: u32(sysctlRecord.position),
    written: valueIn(bytes, offset + sysctlRecord.written, writtenLength) ?? Buffer.alloc(0),
  }
}

/** A copy: the bytes are the ring's. */
function valueIn(bytes: Buffer, start: number, length: number): Buffer | null {
  // The kernel fills the buffer and ends it with a NUL where there was more.
  const kept = length === -E2BIG ? valueBytes - 1 : length
  return kept < 0 || kept > valueBytes ? null : Buffer.from(bytes.subarray(start, start + kept))
}

const E2BIG = 7
