import { common } from '../../../../../ebpf/layout.ts'
import { recordTime, startTicks } from '../../../../../ebpf/record.ts'
import type { ProcessTracker } from '../../../tracker.ts'
import { forked } from './record.ts'

/** Passes a fork to the tracker; returns false for a malformed record. */
export function decodeFork(
  bytes: Buffer,
  offset: number,
  length: number,
  listener: Pick<ProcessTracker, 'forked'>,
): boolean {
  if (length < forked.length) return false
  const child = {
    pid: bytes.readUInt32LE(offset + common.pid),
    startTicks: startTicks(bytes, offset),
    parentPid: bytes.readUInt32LE(offset + common.parentPid),
    uid: bytes.readUInt32LE(offset + common.uid),
    euid: bytes.readUInt32LE(offset + common.euid),
    creatorPid: bytes.readUInt32LE(offset + forked.creatorPid),
  }
  listener.forked(child, recordTime(bytes, offset))
  return true
}
