import { common } from '../../../../../agent/ebpf/layout.ts'
import { executed } from '../../../../../agent/sources/processes/modes/ebpf/exec/record.ts'
import { recordTypes } from '../../../../../agent/sources/processes/modes/ebpf/record-types.ts'

const id = 'a'.repeat(64)

/** The cgroup of the records, and the names from which it is decoded. */
export const sampleCgroup = { path: `/docker/${id}`, ids: [id], build: '' }
export const sampleCgroupNames = `${id}\0docker\0`

/** A record with the header of process 42, which started 123,456,789,000 ns after boot. */
export function beginRecord(type: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  bytes.writeUInt32LE(type, common.type)
  bytes.writeUInt32LE(42, common.pid)
  bytes.writeBigUInt64LE(200_000_000_000n, common.time)
  bytes.writeBigUInt64LE(123_456_789_000n, common.startTime)
  bytes.writeUInt32LE(7, common.parentPid)
  bytes.writeUInt32LE(1_000, common.uid)
  bytes.writeUInt32LE(0, common.euid)
  return bytes
}

export type ExecParts = {
  cgroup?: string
  cgroupId?: bigint
  argv?: string
  argvBytes?: number
  flags?: number
}

/** An exec record of `/usr/bin/ls -l ''` in the working directory `/`. */
export function execRecord(parts: ExecParts = {}): Buffer {
  const { cgroup = sampleCgroupNames, cgroupId = 5n, argv = 'ls\0-l\0\0' } = parts
  const sections = [cgroup, 'ls\0bin\0usr\0', '', argv]
  const bytes = beginRecord(recordTypes.executed, executed.tail + sections.join('').length)
  bytes.writeUInt32LE(5, executed.gid)
  bytes.writeBigUInt64LE(0x1ff_ffff_ffffn, executed.capabilities)
  bytes.writeUInt32LE(11, executed.mountNamespace)
  bytes.writeUInt32LE(12, executed.pidNamespace)
  bytes.writeUInt32LE(13, executed.userNamespace)
  bytes.writeUInt32LE((8 << 20) | 1, executed.device)
  bytes.writeBigUInt64LE(99n, executed.inode)
  bytes.writeUInt32LE(57, executed.rootDevice)
  bytes.writeUInt32LE(0x794c7630, executed.magic)
  bytes.writeUInt32LE(33, executed.owner)
  // The kernel's mode includes S_IFREG of inode(7).
  bytes.writeUInt16LE(0o104755, executed.mode)
  bytes.writeBigUInt64LE(cgroupId, executed.cgroupId)
  bytes.write('ls\0', executed.comm, 'latin1')
  bytes.writeUInt32LE(parts.argvBytes ?? argv.length, executed.argvBytes)
  bytes.writeUInt32LE(parts.flags ?? 0, executed.flags)
  let end = 0
  for (const [index, field] of [
    executed.cgroupEnd,
    executed.exeEnd,
    executed.cwdEnd,
    executed.argvEnd,
  ].entries()) {
    bytes.write(sections[index] ?? '', executed.tail + end, 'latin1')
    end += (sections[index] ?? '').length
    bytes.writeUInt32LE(end, field)
  }
  return bytes
}
