import { generations } from '../../../../lib/two-generation-cache.ts'
import type { Namespaces } from '../../../../model/observation.ts'
import { type Cgroup, cgroupOf } from '../../attribution/cgroup.ts'
import { deviceNumberOfKernel } from '../../../../linux/device-number.ts'
import type { ExitCode, Program, SeenProcess, AtExec } from '../../table/known-process.ts'
import { splitArgv } from '../../table/procfs-process.ts'
import type { ProcessTracker } from '../../tracker.ts'
import type { SeenRequest } from '../../api-requests.ts'
import type { SeenVictim } from '../../oom-victim.ts'
import {
  common,
  executed,
  exited,
  flags,
  forked,
  limits,
  recordTypes,
  requested,
} from '../../../../ebpf/layout.ts'
import { victimRecord } from './oom-victim/program.ts'

export type Decoder = {
  /** Tells the listener what a record says; false when it makes no sense. */
  decode(bytes: Buffer, offset: number, length: number): boolean
  /** Cgroups seen so far, with the keys that their events were counted under. */
  cgroups(): Iterable<CountedCgroup>
}

export type CountedCgroup = { cgroup: Cgroup; budgetKey: bigint }

/** All that an exec's record says beside its process and its arguments. */
type Place = {
  cgroup: Cgroup
  namespaces: Namespaces
  exeDevice: number
  rootDevice: number
  atExec: AtExec
  program: Omit<Program, 'argv' | 'argvTruncated'>
  argvUnread: boolean
}

/** Whom it tells; times in milliseconds since boot. */
export type Listener = Pick<ProcessTracker, 'executed' | 'forked' | 'exited' | 'idsChanged' | 'oomVictim'> & {
  requested(request: SeenRequest, sinceBoot: number): void
}

/** Reads the records that the programs write. */
export function recordDecoder(listener: Listener): Decoder {
  // By cgroup id: names are decoded once, not for every program in it.
  const cgroups = generations<number, CountedCgroup>(maxCgroups)
  // By their bytes: a host runs the same programs in the same places again and again.
  const places = new Map<string, Place>()

  function decode(bytes: Buffer, offset: number, length: number): boolean {
    if (length < forked.length) return false
    switch (bytes.readUInt32LE(offset + common.type)) {
      case recordTypes.executed:
        return isWhole(bytes, offset, length) && decodeExecuted(bytes, offset)
      case recordTypes.forked:
        return decodeForked(bytes, offset)
      case recordTypes.exited:
        return length >= exited.length && decodeExited(bytes, offset)
      case recordTypes.requested:
        return isWholeRequest(bytes, offset, length) && decodeRequested(bytes, offset)
      case recordTypes.oomVictim:
        return isWholeVictim(bytes, offset, length) && decodeVictim(bytes, offset)
      default:
        return false
    }
  }

  function decodeExecuted(bytes: Buffer, offset: number): boolean {
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
      // Arguments are kept as a string of bytes, which is small and quickly made, until somebody asks.
      program: () => ({ ...place.program, argv: splitArgv(textOf(argv)), argvTruncated }),
    }
    listener.executed(seen, recordTime(bytes, offset))
    return true
  }

  function decodeForked(bytes: Buffer, offset: number): boolean {
    const child = {
      pid: bytes.readUInt32LE(offset + common.pid),
      startTicks: startTicks(bytes, offset),
      parentPid: bytes.readUInt32LE(offset + common.parentPid),
      uid: bytes.readUInt32LE(offset + common.uid),
      euid: bytes.readUInt32LE(offset + common.euid),
      makerPid: bytes.readUInt32LE(offset + forked.makerPid),
    }
    listener.forked(child, recordTime(bytes, offset))
    return true
  }

  function decodeExited(bytes: Buffer, offset: number): boolean {
    const pid = bytes.readUInt32LE(offset + common.pid)
    const time = recordTime(bytes, offset)
    const uid = bytes.readUInt32LE(offset + common.uid)
    const euid = bytes.readUInt32LE(offset + common.euid)
    listener.idsChanged(pid, { uid, euid }, time)
    listener.exited(pid, startTicks(bytes, offset), time, exitCode(bytes, offset))
    return true
  }

  function decodeRequested(bytes: Buffer, offset: number): boolean {
    const start = offset + requested.text
    const request = {
      pid: bytes.readUInt32LE(offset + common.pid),
      startTicks: startTicks(bytes, offset),
      uid: bytes.readUInt32LE(offset + common.uid),
      euid: bytes.readUInt32LE(offset + common.euid),
      cgroup: cgroupAt(bytes, offset),
      connection: bytes.readBigUInt64LE(offset + requested.connection),
      text: bytes.toString('latin1', start, start + bytes.readUInt32LE(offset + requested.textBytes)),
    }
    listener.requested(request, recordTime(bytes, offset))
    return true
  }

  function decodeVictim(bytes: Buffer, offset: number): boolean {
    const u32 = (field: number) => bytes.readUInt32LE(offset + field)
    const threadId = u32(victimRecord.threadId)
    const victim = (): SeenVictim => ({
      pid: u32(common.pid),
      startTicks: startTicks(bytes, offset),
      cgroup: cgroupAt(bytes, offset),
      isGroup: u32(victimRecord.isGroup) !== 0,
      isNamespaceInit: u32(victimRecord.namespaceLevel) === 1 && u32(victimRecord.namespacePid) === 1,
    })
    listener.oomVictim(threadId === 0 ? victim() : { threadId }, recordTime(bytes, offset))
    return true
  }

  function placeAt(bytes: Buffer, offset: number, end: number): Place {
    const key = bytes.toString('latin1', offset + executed.place, end)
    const known = places.get(key)
    if (known !== undefined) return known
    const place = decodePlace(bytes, offset, cgroupAt(bytes, offset))
    if (places.size >= maxPlaces) places.clear()
    places.set(key, place)
    return place
  }

  function cgroupAt(bytes: Buffer, offset: number): Cgroup {
    const id = readNumber(bytes, offset + executed.cgroupId)
    const known = cgroups.get(id)
    if (known !== undefined) return known.cgroup
    const cgroup = cgroupIn(bytes, offset)
    const budgetKey = bytes.readBigUInt64LE(offset + executed.budgetKey)
    // A place that is known does not ask for its cgroup, which would seem to be used no more.
    if (cgroups.set(id, { cgroup, budgetKey })) places.clear()
    return cgroup
  }

  return { decode, cgroups: () => cgroups.values() }
}

// A host has hundreds, of 1 KB each; every container that ever ran has left one.
const maxCgroups = 512
// The longest has 5 KB, a usual one 500 bytes.
const maxPlaces = 1_024

/** When it happened, in milliseconds since boot. */
export function recordTime(bytes: Buffer, offset: number): number {
  return readNumber(bytes, offset + common.time) / 1e6
}

function decodePlace(bytes: Buffer, offset: number, cgroup: Cgroup): Place {
  const u32 = (field: number) => bytes.readUInt32LE(offset + field)
  const has = (flag: number) => (u32(executed.flags) & flag) !== 0
  const path = (from: number, to: number, truncated: number, deleted: number) =>
    (has(truncated) ? '…/' : '/') +
    readNames(bytes, offset, from, to).join('/') +
    // As /proc/PID/exe shows it.
    (has(deleted) ? ' (deleted)' : '')
  const exeEnd = u32(executed.exeEnd)
  const device = deviceNumberOfKernel(u32(executed.device))
  return {
    cgroup,
    namespaces: {
      mount: u32(executed.mountNamespace),
      pid: u32(executed.pidNamespace),
      user: u32(executed.userNamespace),
    },
    exeDevice: device,
    rootDevice: deviceNumberOfKernel(u32(executed.rootDevice)),
    atExec: {
      magic: u32(executed.magic),
      inUpper: has(flags.exeInUpper),
      owner: u32(executed.owner),
      // Without the type of the file.
      mode: bytes.readUInt16LE(offset + executed.mode) & 0o7777,
      hasAmbientCapabilities: has(flags.ambientCapabilities),
    },
    program: {
      comm: readText(bytes, offset + executed.comm, 16),
      exe: path(u32(executed.cgroupEnd), exeEnd, flags.exeTruncated, flags.exeDeleted),
      exeTruncated: has(flags.exeTruncated),
      exeFile: { device, inode: readNumber(bytes, offset + executed.inode) },
      workingDirectory: path(exeEnd, u32(executed.cwdEnd), flags.cwdTruncated, flags.cwdDeleted),
      ...(has(flags.cwdOutside) && { workingDirectoryOutside: true as const }),
    },
    argvUnread: has(flags.argvUnread),
  }
}

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

function isWholeRequest(bytes: Buffer, offset: number, length: number): boolean {
  if (length < requested.length) return false
  const hasRoom = bytes.readUInt32LE(offset + executed.cgroupEnd) <= limits.cgroupEnd
  return hasRoom && bytes.readUInt32LE(offset + requested.textBytes) <= requested.maxText
}

function isWholeVictim(bytes: Buffer, offset: number, length: number): boolean {
  return length >= victimRecord.length && bytes.readUInt32LE(offset + executed.cgroupEnd) <= limits.cgroupEnd
}

/** Names of a part of the tail, each with a NUL behind it and the last first, in the order of a path. */
function readNames(bytes: Buffer, offset: number, from: number, to: number): string[] {
  if (to <= from) return []
  const start = offset + executed.tail
  return bytes
    .toString('utf8', start + from, start + to - 1)
    .split('\0')
    .toReversed()
}

function readText(bytes: Buffer, offset: number, length: number): string {
  const end = bytes.indexOf(0, offset)
  return bytes.toString('utf8', offset, end < 0 ? offset + length : Math.min(end, offset + length))
}

/** What bytes, each of them a character, mean as UTF-8. */
function textOf(bytes: string): string {
  // Of ASCII they are the text already.
  return beyondAscii.test(bytes) ? Buffer.from(bytes, 'latin1').toString() : bytes
}

const beyondAscii = /[\x80-\xff]/

/** Exact up to 53 bits, which neither capabilities nor inodes nor cgroups reach in practice. */
function readNumber(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset + 4) * 2 ** 32 + bytes.readUInt32LE(offset)
}

/** The cgroup whose names `readCgroups` has put into a record. */
export function cgroupIn(bytes: Buffer, offset: number): Cgroup {
  const names = readNames(bytes, offset, 0, bytes.readUInt32LE(offset + executed.cgroupEnd))
  const truncated = (bytes.readUInt32LE(offset + executed.flags) & flags.cgroupTruncated) !== 0
  return cgroupOf(names, truncated)
}

/** Exact, because it is a key: nanoseconds pass 53 bits after 104 days, but 2^32 of them are 429 ticks and a rest. */
export function startTicks(bytes: Buffer, offset: number): number {
  const low = bytes.readUInt32LE(offset + common.startTime)
  const high = bytes.readUInt32LE(offset + common.startTime + 4)
  return high * 429 + Math.floor((high * 4_967_296 + low) / 10_000_000)
}

function exitCode(bytes: Buffer, offset: number): ExitCode {
  const group = bytes.readUInt32LE(offset + exited.groupCode)
  const code = group === 0 ? bytes.readUInt32LE(offset + exited.leaderCode) : group
  return { status: (code >>> 8) & 0xff, signal: code & 0x7f }
}
