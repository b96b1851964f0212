import { common } from '../../../../../ebpf/layout.ts'
import { recordTime, startTicks } from '../../../../../ebpf/record.ts'
import type { ExitCode } from '../../../table/known-process.ts'
import type { ProcessTracker } from '../../../tracker.ts'
import { exited } from './record.ts'

/** Passes an exit, and the ids that the process had by then, to the tracker; returns false for a malformed record. */
export function decodeExit(
  bytes: Buffer,
  offset: number,
  length: number,
  listener: Pick<ProcessTracker, 'exited' | 'idsChanged'>,
): boolean {
  if (length < exited.length) return false
  const pid = bytes.readUInt32LE(offset + common.pid)
  const time = recordTime(bytes, offset)
  const uid = bytes.readUInt32LE(offset + common.uid)
  const euid = bytes.readUInt32LE(offset + common.euid)
  listener.idsChanged(pid, { uid, euid }, time)
  listener.exited(pid, startTicks(bytes, offset), time, exitCode(bytes, offset))
  return true
}

function exitCode(bytes: Buffer, offset: number): ExitCode {
  const group = bytes.readUInt32LE(offset + exited.groupCode)
  const code = group === 0 ? bytes.readUInt32LE(offset + exited.leaderCode) : group
  return { status: (code >>> 8) & 0xff, signal: code & 0x7f }
}
