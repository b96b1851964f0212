import { cgroupFields, cgroupTruncated, common } from './layout.ts'

/** When the event happened, in milliseconds since boot. */
export function recordTime(bytes: Buffer, offset: number): number {
  return readNumber(bytes, offset + common.time) / 1e6
}

/** Exact, because it is a key: nanoseconds exceed 53 bits after 104 days. 2^32 of them are 429 ticks and a rest. */
export function startTicks(bytes: Buffer, offset: number): number {
  const low = bytes.readUInt32LE(offset + common.startTime)
  const high = bytes.readUInt32LE(offset + common.startTime + 4)
  return high * 429 + Math.floor((high * 4_967_296 + low) / 10_000_000)
}

/** Exact up to 53 bits, which capabilities, inodes and cgroup ids do not exceed in practice. */
export function readNumber(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset + 4) * 2 ** 32 + bytes.readUInt32LE(offset)
}

/** The cgroup's names, in path order. */
export function cgroupNames(bytes: Buffer, offset: number): { names: string[]; truncated: boolean } {
  const names = readNames(bytes, offset, 0, bytes.readUInt32LE(offset + cgroupFields.cgroupEnd))
  const truncated = (bytes.readUInt32LE(offset + cgroupFields.flags) & cgroupTruncated) !== 0
  return { names, truncated }
}

/** The names in a section of the tail, which stores them with a NUL each and the last first, in path order. */
export function readNames(bytes: Buffer, offset: number, from: number, to: number): string[] {
  if (to <= from) return []
  const start = offset + cgroupFields.tail
  return bytes
    .toString('utf8', start + from, start + to - 1)
    .split('\0')
    .toReversed()
}
