import { twoGenerationCache } from '../../../../lib/two-generation-cache.ts'
import type { Namespaces } from '../../../../model/observation.ts'
import { type Cgroup, cgroupOf } from '../../attribution/cgroup.ts'
import { deviceNumberOfKernel } from '../../../../linux/device-number.ts'
import type { ExitCode, Program, SeenProcess, AtExec } from '../../table/known-process.ts'
import { splitArgv } from '../../table/procfs-process.ts'
import type { ProcessTracker } from '../../tracker.ts'
import type { SeenRequest } from '../../api-requests.ts'
import type { SeenVictim } from '../../oom-victim.ts'
import { cgroupFields, common, maxCgroupEnd } from '../../../../ebpf/layout.ts'
import { cgroupNames, readNames, readNumber, recordTime, startTicks } from '../../../../ebpf/record.ts'
import { executed, flags } from './exec/record.ts'
import { exited } from './exit/record.ts'
import { forked } from './fork/record.ts'
import { recordTypes } from './record-types.ts'
import { requested } from './request/record.ts'
import { victimRecord } from './oom-victim/record.ts'

export type Decoder = {
  /** Passes a decoded record to the listener; returns false for a malformed record. */
  decode(bytes: Buffer, offset: number, length: number): boolean
  /** Cgroups seen so far, with the budget keys of their events. */
  cgroups(): Iterable<CountedCgroup>
}

export type CountedCgroup = { cgroup: Cgroup; budgetKey: bigint }

/** The contents of an exec record other than its process and arguments. */
type Place = {
  cgroup: Cgroup
  namespaces: Namespaces
  exeDevice: number
  rootDevice: number
  atExec: AtExec
  program: Omit<Program, 'argv' | 'argvTruncated'>
  argvUnread: boolean
}

/** Receives the decoded records; times in milliseconds since boot. */
export type Listener = Pick<ProcessTracker, 'executed' | 'forked' | 'exited' | 'idsChanged' | 'oomVictim'> & {
  requested(request: SeenRequest, sinceBoot: number): void
}

/** Decodes the records that the kernel programs write. */
export function recordDecoder(listener: Listener): Decoder {
  // By cgroup id: names are decoded once, not for each of its execs.
  const cgroups = twoGenerationCache<number, CountedCgroup>(maxCgroups)
  // By record bytes: a host runs the same programs in the same places repeatedly.
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
      // Arguments stay a byte string, which is small and cheap, until they are read.
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
      creatorPid: bytes.readUInt32LE(offset + forked.creatorPid),
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
    const id = readNumber(bytes, offset + cgroupFields.cgroupId)
    const known = cgroups.get(id)
    if (known !== undefined) return known.cgroup
    const cgroup = cgroupIn(bytes, offset)
    const budgetKey = bytes.readBigUInt64LE(offset + cgroupFields.budgetKey)
    // A cached place does not look up its cgroup, which would then appear unused.
    if (cgroups.set(id, { cgroup, budgetKey })) places.clear()
    return cgroup
  }

  return { decode, cgroups: () => cgroups.values() }
}

// A host has hundreds, of 1 KB each; every container that ever ran leaves one.
const maxCgroups = 512
// At most 5 KB each, typically 500 bytes.
const maxPlaces = 1_024

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
      // Without the file type bits.
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
  const hasRoom = bytes.readUInt32LE(offset + requested.cgroupEnd) <= maxCgroupEnd
  return hasRoom && bytes.readUInt32LE(offset + requested.textBytes) <= requested.maxText
}

function isWholeVictim(bytes: Buffer, offset: number, length: number): boolean {
  return length >= victimRecord.length && bytes.readUInt32LE(offset + cgroupFields.cgroupEnd) <= maxCgroupEnd
}

function readText(bytes: Buffer, offset: number, length: number): string {
  const end = bytes.indexOf(0, offset)
  return bytes.toString('utf8', offset, end < 0 ? offset + length : Math.min(end, offset + length))
}

/** Decodes a latin1 byte string as UTF-8. */
function textOf(bytes: string): string {
  // ASCII needs no decoding.
  return nonAscii.test(bytes) ? Buffer.from(bytes, 'latin1').toString() : bytes
}

const nonAscii = /[\x80-\xff]/

/** The cgroup whose names `readCgroups` has written to a record. */
function cgroupIn(bytes: Buffer, offset: number): Cgroup {
  const { names, truncated } = cgroupNames(bytes, offset)
  return cgroupOf(names, truncated)
}

function exitCode(bytes: Buffer, offset: number): ExitCode {
  const group = bytes.readUInt32LE(offset + exited.groupCode)
  const code = group === 0 ? bytes.readUInt32LE(offset + exited.leaderCode) : group
  return { status: (code >>> 8) & 0xff, signal: code & 0x7f }
}
