import { common } from '../../../../../ebpf/layout.ts'
import { readNumber, recordTime, startTicks } from '../../../../../ebpf/record.ts'
import type { SeenProcess } from '../../../table/known-process.ts'
import { splitArgv } from '../../../table/procfs-process.ts'
import type { ProcessTracker } from '../../../tracker.ts'
import type { CgroupCache } from '../cgroup-cache.ts'
import { decodePlace, type Place } from './place.ts'
import { executed } from './record.ts'

/** Decodes exec records, of which a busy host has thousands per second. */
export type ExecDecoder = {
  /** Passes an exec to the tracker; returns false for a malformed record. */
  decode(bytes: Buffer, offset: number, length: number): boolean
  /** Call it when cgroups are dropped: a cached place does not look up its cgroup, which then appears unused. */
  forgetPlaces(): void
}

/** Caches what is the same for each exec of a program in a container. */
export function execDecoder(
  cgroups: Pick<CgroupCache, 'at'>,
  listener: Pick<ProcessTracker, 'executed'>,
): ExecDecoder {
  // By record bytes: a host runs the same programs in the same places repeatedly.
  const places = new Map<string, Place>()

  function decode(bytes: Buffer, offset: number, length: number): boolean {
    if (!isWhole(bytes, offset, length)) return false
    const argvStart = offset + executed.tail + bytes.readUInt32LE(offset + executed.cwdEnd)
    const argvEnd = offset + executed.tail + bytes.readUInt32LE(offset + executed.argvEnd)
    const place = placeAt(bytes, offset, argvStart)
    const argv = bytes.toString('latin1', argvStart, argvEnd)
    const argvTruncated = place.argvUnread || bytes.readUInt32LE(offset + executed.argvBytes) > argv.length
    const seen: SeenProcess = {
      pid: bytes.readUInt32LE(offset + common.pid),
      startTicks: startTicks(bytes, offset),
      parentPid: bytes.readUInt32LE(offset + common.parentPid),
      uid: bytes.readUInt32LE(offset + common.uid),
      euid: bytes.readUInt32LE(offset + common.euid),
      gid: bytes.readUInt32LE(offset + executed.gid),
      capabilities: readNumber(bytes, offset + executed.capabilities),
      namespaces: place.namespaces,
      cgroup: place.cgroup,
      exeDevice: place.exeDevice,
      rootDevice: place.rootDevice,
      atExec: place.atExec,
      // Arguments stay a byte string, which is small and cheap, until they are read.
      program: () => ({ ...place.program, argv: splitArgv(textOf(argv)), argvTruncated }),
    }
    listener.executed(seen, recordTime(bytes, offset))
    return true
  }

  function placeAt(bytes: Buffer, offset: number, end: number): Place {
    const key = bytes.toString('latin1', offset + executed.place, end)
    const known = places.get(key)
    if (known !== undefined) return known
    const place = decodePlace(bytes, offset, cgroups.at(bytes, offset))
    if (places.size >= maxPlaces) places.clear()
    places.set(key, place)
    return place
  }

  return { decode, forgetPlaces: () => places.clear() }
}

// At most 5 KB each, typically 500 bytes.
const maxPlaces = 1_024

function isWhole(bytes: Buffer, offset: number, length: number): boolean {
  if (length < executed.tail) return false
  const { cgroupEnd, exeEnd, cwdEnd, argvEnd } = executed
  let last = 0
  for (const field of [cgroupEnd, exeEnd, cwdEnd, argvEnd]) {
    const end = bytes.readUInt32LE(offset + field)
    if (end < last) return false
    last = end
  }
  return executed.tail + last <= length
}

/** Decodes a latin1 byte string as UTF-8. */
function textOf(bytes: string): string {
  // ASCII needs no decoding.
  return nonAscii.test(bytes) ? Buffer.from(bytes, 'latin1').toString() : bytes
}

const nonAscii = /[\x80-\xff]/
