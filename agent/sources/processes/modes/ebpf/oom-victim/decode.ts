import { cgroupFields, common, maxCgroupEnd } from '../../../../../ebpf/layout.ts'
import { recordTime, startTicks } from '../../../../../ebpf/record.ts'
import type { SeenVictim } from '../../../oom-victim.ts'
import type { ProcessTracker } from '../../../tracker.ts'
import type { CgroupCache } from '../cgroup-cache.ts'
import { victimRecord } from './record.ts'

/** Passes an OOM victim to the tracker; returns false for a malformed record. */
export function decodeVictim(
  bytes: Buffer,
  offset: number,
  length: number,
  cgroups: Pick<CgroupCache, 'at'>,
  listener: Pick<ProcessTracker, 'oomVictim'>,
): boolean {
  if (!isWhole(bytes, offset, length)) return false
  const u32 = (field: number) => bytes.readUInt32LE(offset + field)
  const threadId = u32(victimRecord.threadId)
  const victim = (): SeenVictim => ({
    pid: u32(common.pid),
    startTicks: startTicks(bytes, offset),
    cgroup: cgroups.at(bytes, offset),
    isGroup: u32(victimRecord.isGroup) !== 0,
    isNamespaceInit: u32(victimRecord.namespaceLevel) === 1 && u32(victimRecord.namespacePid) === 1,
  })
  listener.oomVictim(threadId === 0 ? victim() : { threadId }, recordTime(bytes, offset))
  return true
}

function isWhole(bytes: Buffer, offset: number, length: number): boolean {
  return length >= victimRecord.length && bytes.readUInt32LE(offset + cgroupFields.cgroupEnd) <= maxCgroupEnd
}
