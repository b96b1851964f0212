import { readNames, readNumber } from '../../../../../ebpf/record.ts'
import { deviceNumberOfKernel } from '../../../../../linux/device-number.ts'
import type { Namespaces } from '../../../../../model/observation.ts'
import type { Cgroup } from '../../../attribution/cgroup.ts'
import type { AtExec, Program } from '../../../table/known-process.ts'
import { executed, flags } from './record.ts'

/** The contents of an exec record other than its process and arguments: the same for each exec in the same place. */
export type Place = {
  cgroup: Cgroup
  namespaces: Namespaces
  exeDevice: number
  rootDevice: number
  atExec: AtExec
  program: Omit<Program, 'argv' | 'argvTruncated'>
  argvUnread: boolean
}

/** Decodes the bytes from `executed.place` to the arguments. */
export function decodePlace(bytes: Buffer, offset: number, cgroup: Cgroup): Place {
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

function readText(bytes: Buffer, offset: number, length: number): string {
  const end = bytes.indexOf(0, offset)
  return bytes.toString('utf8', offset, end < 0 ? offset + length : Math.min(end, offset + length))
}
