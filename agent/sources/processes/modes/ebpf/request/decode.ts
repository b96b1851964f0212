import { common, maxCgroupEnd } from '../../../../../ebpf/layout.ts'
import { recordTime, startTicks } from '../../../../../ebpf/record.ts'
import type { SeenRequest } from '../../../api-requests.ts'
import type { CgroupCache } from '../cgroup-cache.ts'
import { requested } from './record.ts'

/** Receives requests; times in milliseconds since boot. */
export type RequestListener = { requested(request: SeenRequest, sinceBoot: number): void }

/** Passes a request to the Docker API to the listener; returns false for a malformed record. */
export function decodeRequest(
  bytes: Buffer,
  offset: number,
  length: number,
  cgroups: Pick<CgroupCache, 'at'>,
  listener: RequestListener,
): boolean {
  if (!isWhole(bytes, offset, length)) return false
  const start = offset + requested.text
  const request = {
    pid: bytes.readUInt32LE(offset + common.pid),
    startTicks: startTicks(bytes, offset),
    uid: bytes.readUInt32LE(offset + common.uid),
    euid: bytes.readUInt32LE(offset + common.euid),
    cgroup: cgroups.at(bytes, offset),
    connection: bytes.readBigUInt64LE(offset + requested.connection),
    text: bytes.toString('latin1', start, start + bytes.readUInt32LE(offset + requested.textBytes)),
  }
  listener.requested(request, recordTime(bytes, offset))
  return true
}

function isWhole(bytes: Buffer, offset: number, length: number): boolean {
  if (length < requested.length) return false
  const hasRoom = bytes.readUInt32LE(offset + requested.cgroupEnd) <= maxCgroupEnd
  return hasRoom && bytes.readUInt32LE(offset + requested.textBytes) <= requested.maxText
}
