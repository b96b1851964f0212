import type { Namespaces } from '../../model/observation.ts'
import { type Cgroup, cgroupOf } from '../cgroup.ts'
import { deviceNumberOfKernel } from '../device.ts'
import type { ExitCode, Program, SeenProcess } from '../known-process.ts'
import { parseArgv } from '../proc.ts'
import type { ProcessTracker } from '../tracker.ts'
import type { SeenRequest } from '../api-requests.ts'
import { common, executed, exited, flags, forked, limits, recordTypes, requested } from './layout.ts'

export type Decoder = {
  /** Tells the listener what a record says; false when it makes no sense. */
  decode(bytes: Buffer, offset: number, length: number): boolean
  /** Cgroups seen so far, with the keys that their events were counted under. */
  cgroups(): Iterable<CountedCgroup>
}

export type CountedCgroup = { cgroup: Cgroup; budgetKey: bigint }

/** With the namespaces of its last exec: the next one's are most often the same. */
type RememberedCgroup = CountedCgroup & { namespaces: Namespaces }

/** Whom it tells; times in milliseconds since boot. */
export type Listener = Pick<ProcessTracker, 'executed' | 'forked' | 'exited' | 'idsChanged'> & {
  requested(request: SeenRequest, sinceBoot: number): void
}

/** Reads the records that the programs write. */
export function recordDecoder(listener: Listener): Decoder {
  // By cgroup id: names are decoded once, not for every exec in it.
  const cgroups = new Map<number, RememberedCgroup>()

  function decode(bytes: Buffer, offset: number, length: number): boolean {
    if (length < forked.length) return false
    switch (bytes.readUInt32LE(offset + common.type)) {
      case recordTypes.executed:
        return isWhole(bytes, offset, length) && decodeExecuted(bytes, offset, length)
      case recordTypes.forked:
        return decodeForked(bytes, offset)
      case recordTypes.exited:
        return length >= exited.length && decodeExited(bytes, offset)
      case recordTypes.requested:
        return isWholeRequest(bytes, offset, length) && decodeRequested(bytes, offset)
      default:
        return false
    }
  }

  function decodeExecuted(bytes: Buffer, offset: number, length: number): boolean {
    const u32 = (field: number) => bytes.readUInt32LE(offset + field)
    const remembered = cgroupAt(bytes, offset)
    remembered.namespaces = readNamespaces(bytes, offset, remembered.namespaces)
    const seen: SeenProcess = {
      pid: u32(common.pid),
      startTicks: startTicks(bytes, offset),
      parentPid: u32(common.parentPid),
      uid: u32(common.uid),
      euid: u32(common.euid),
      gid: u32(executed.gid),
      capabilities: readNumber(bytes, offset + executed.capabilities),
      namespaces: remembered.namespaces,
      cgroup: remembered.cgroup,
      exeDevice: deviceNumberOfKernel(u32(executed.device)),
      program: lazily(bytes.toString('latin1', offset, offset + length)),
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
      cgroup: cgroupAt(bytes, offset).cgroup,
      connection: bytes.readBigUInt64LE(offset + requested.connection),
      text: bytes.toString('latin1', start, start + bytes.readUInt32LE(offset + requested.textBytes)),
    }
    listener.requested(request, recordTime(bytes, offset))
    return true
  }

  function cgroupAt(bytes: Buffer, offset: number): RememberedCgroup {
    const id = readNumber(bytes, offset + executed.cgroupId)
    const known = cgroups.get(id)
    if (known !== undefined) return known
    const budgetKey = bytes.readBigUInt64LE(offset + executed.budgetKey)
    const namespaces = { mount: 0, pid: 0, user: 0 }
    const counted = { cgroup: cgroupIn(bytes, offset), budgetKey, namespaces }
    if (cgroups.size >= maxCgroups) cgroups.clear()
    cgroups.set(id, counted)
    return counted
  }

  return { decode, cgroups: () => cgroups.values() }
}

// A host has hundreds; whoever makes them in a loop gets them decoded again.
const maxCgroups = 4_096

/** When it happened, in milliseconds since boot. */
export function recordTime(bytes: Buffer, offset: number): number {
  return readNumber(bytes, offset + common.time) / 1e6
}

/** Decodes what a process runs, from a copy of its record. */
export function decodeProgram(bytes: Buffer): Program {
  const u32 = (field: number) => bytes.readUInt32LE(field)
  const has = (flag: number) => (u32(executed.flags) & flag) !== 0
  const path = (from: number, to: number, truncated: number, deleted: number) =>
    (has(truncated) ? '…/' : '/') +
    readNames(bytes, 0, from, to).join('/') +
    // As /proc/PID/exe shows it.
    (has(deleted) ? ' (deleted)' : '')
  const cgroupEnd = u32(executed.cgroupEnd)
  const exeEnd = u32(executed.exeEnd)
  const cwdEnd = u32(executed.cwdEnd)
  const kept = bytes.subarray(executed.tail + cwdEnd, executed.tail + u32(executed.argvEnd))
  const argvTruncated = has(flags.argvUnread) || u32(executed.argvBytes) > kept.length
  return {
    comm: readText(bytes, executed.comm, 16),
    exe: path(cgroupEnd, exeEnd, flags.exeTruncated, flags.exeDeleted),
    exeTruncated: has(flags.exeTruncated),
    exeFile: {
      device: deviceNumberOfKernel(u32(executed.device)),
      inode: readNumber(bytes, executed.inode),
    },
    argv: parseArgv(kept).argv,
    argvTruncated,
    workingDirectory: path(exeEnd, cwdEnd, flags.cwdTruncated, flags.cwdDeleted),
    ...(has(flags.cwdOutside) && { workingDirectoryOutside: true as const }),
  }
}

/** The record is kept as a string of bytes, which is small and quickly made, until somebody asks. */
function lazily(record: string): () => Program {
  return () => decodeProgram(Buffer.from(record, 'latin1'))
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

function readNamespaces(bytes: Buffer, offset: number, last: Namespaces): Namespaces {
  const mount = bytes.readUInt32LE(offset + executed.mountNamespace)
  const pid = bytes.readUInt32LE(offset + executed.pidNamespace)
  const user = bytes.readUInt32LE(offset + executed.userNamespace)
  const isSame = last.mount === mount && last.pid === pid && last.user === user
  return isSame ? last : { mount, pid, user }
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
