import { frame, r0, r1, r2, r3, r6, r7, r8, r9 } from '../../../../../ebpf/assembler.ts'
import { send, takeScratch, writeHeader } from '../../../../../ebpf/blocks.ts'
import { spendBudget } from '../../../../../ebpf/budget.ts'
import { readCgroups } from '../../../../../ebpf/cgroups.ts'
import { tailMask } from '../../../../../ebpf/layout.ts'
import { addFlag, readPath } from '../../../../../ebpf/paths.ts'
import { helpers, type Program, slots } from '../../../../../ebpf/program.ts'
import { OVERLAYFS_SUPER_MAGIC } from '../../../credentials/exec-file.ts'
import type { TracepointProgram } from '../../../../../ebpf/loader.ts'
import { recordTypes } from '../record-types.ts'
import { executed, flags, limits } from './record.ts'

/** Reports every exec with all identifying data, before the program can change any of it. */
export const execProgram: TracepointProgram = {
  name: 'tidewatch_exec',
  tracepoint: 'sched_process_exec',
  write(p, { maps, hierarchy, budget, ringFull }) {
    // sched_process_exec(task, …)
    p.load(8, r6, r1, 0)
    takeScratch(p, maps)
    p.store(4, r7, executed.flags, 0)
    writeHeader(p, recordTypes.executed, r6)
    readCgroups(p, hierarchy)
    spendBudget(p, maps, { limit: budget, privileged: true })
    p.store(4, r7, executed.cgroupEnd, r9)
    p.load(8, r1, frame, slots.key)
    p.store(8, r7, executed.budgetKey, r1)
    writeCredentials(p)
    writeNamespaces(p)
    p.copy(r7, executed.comm, 16, r6, 'task_struct.comm')
    writeExecutable(p)
    writeWorkingDirectory(p)
    writeRoot(p)
    writeArguments(p)
    p.add(r9, executed.tail)
    send(p, maps, r9, ringFull)
  },
}

function writeCredentials(p: Program): void {
  p.follow(r8, r6, 'task_struct.real_cred')
  p.copy(r7, executed.gid, 4, r8, 'cred.gid')
  p.copy(r7, executed.capabilities, 8, r8, 'cred.cap_effective')
  const hasNoAmbient = p.newLabel()
  p.read(8, r1, r8, 'cred.cap_ambient')
  p.jumpIf(r1, '==', 0, hasNoAmbient)
  addFlag(p, flags.ambientCapabilities)
  p.label(hasNoAmbient)
  p.follow(r8, r8, 'cred.user_ns')
  p.copy(r7, executed.userNamespace, 4, r8, 'user_namespace.ns.inum')
}

function writeNamespaces(p: Program): void {
  p.follow(r8, r6, 'task_struct.nsproxy', 'nsproxy.mnt_ns')
  p.copy(r7, executed.mountNamespace, 4, r8, 'mnt_namespace.ns.inum')
  // The innermost number of the pid belongs to the task's own namespace (task_active_pid_ns of kernel/pid.c).
  p.follow(r8, r6, 'task_struct.thread_pid')
  p.read(4, r1, r8, 'pid.level')
  p.multiply(r1, p.btf.sizeOf('upid'))
  p.add(r8, r1)
  p.read(8, r8, r8, p.btf.offsetOf('pid.numbers') + p.btf.offsetOf('upid.ns'))
  p.copy(r7, executed.pidNamespace, 4, r8, 'pid_namespace.ns.inum')
}

function writeExecutable(p: Program): void {
  p.follow(r8, r6, 'task_struct.mm', 'mm_struct.exe_file', 'file.f_inode')
  p.copy(r7, executed.inode, 8, r8, 'inode.i_ino')
  p.copy(r7, executed.owner, 4, r8, 'inode.i_uid')
  p.copy(r7, executed.mode, 2, r8, 'inode.i_mode')
  // On overlay, `ovl_inode.__upperdentry` follows the inode (fs/overlayfs/ovl_entry.h, whose types vmlinux may lack).
  p.read(8, r1, r8, p.btf.sizeOf('inode'))
  p.store(8, frame, slots.pointer, r1)
  p.follow(r8, r8, 'inode.i_sb')
  p.copy(r7, executed.device, 4, r8, 'super_block.s_dev')
  p.copy(r7, executed.magic, 4, r8, 'super_block.s_magic')
  markUpperFile(p)
  p.follow(r8, r6, 'task_struct.mm', 'mm_struct.exe_file')
  p.addressOf(r8, r8, 'file.f_path')
  readPath(p, { limit: limits.exeEnd, truncated: flags.exeTruncated, deleted: flags.exeDeleted })
  p.store(4, r7, executed.exeEnd, r9)
}

function markUpperFile(p: Program): void {
  const isOther = p.newLabel()
  p.load(4, r1, r7, executed.magic)
  p.jumpIf(r1, '!=', OVERLAYFS_SUPER_MAGIC, isOther)
  p.load(8, r1, frame, slots.pointer)
  p.jumpIf(r1, '==', 0, isOther)
  addFlag(p, flags.exeInUpper)
  p.label(isOther)
}

function writeWorkingDirectory(p: Program): void {
  p.follow(r8, r6, 'task_struct.fs')
  p.addressOf(r8, r8, 'fs_struct.pwd')
  readPath(p, { limit: limits.cwdEnd, truncated: flags.cwdTruncated, deleted: flags.cwdDeleted })
  p.store(4, r7, executed.cwdEnd, r9)
  markForeignDirectory(p)
}

/** A descriptor opened before a change of the mount namespace leads back to the former namespace (CVE-2024-21626). */
function markForeignDirectory(p: Program): void {
  const isOwn = p.newLabel()
  p.follow(r8, r6, 'task_struct.fs')
  p.addressOf(r8, r8, 'fs_struct.pwd')
  p.read(8, r8, r8, 'path.mnt')
  p.subtract(r8, p.btf.offsetOf('mount.mnt'))
  p.read(8, r8, r8, 'mount.mnt_ns')
  p.store(8, frame, slots.pointer, r8)
  // Zero for a mount in no namespace: it was unmounted while in use.
  p.jumpIf(r8, '==', 0, isOwn)
  p.follow(r8, r6, 'task_struct.nsproxy', 'nsproxy.mnt_ns')
  p.load(8, r1, frame, slots.pointer)
  p.jumpIf(r1, '==', r8, isOwn)
  addFlag(p, flags.cwdOutside)
  p.label(isOwn)
}

function writeRoot(p: Program): void {
  p.follow(r8, r6, 'task_struct.fs')
  p.addressOf(r8, r8, 'fs_struct.root')
  p.follow(r8, r8, 'path.dentry', 'dentry.d_sb')
  p.copy(r7, executed.rootDevice, 4, r8, 'super_block.s_dev')
}

/** The arguments are contiguous in the new program's memory. */
function writeArguments(p: Program): void {
  const fits = p.newLabel()
  const wasRead = p.newLabel()
  p.follow(r8, r6, 'task_struct.mm')
  p.read(8, r6, r8, 'mm_struct.arg_start')
  p.read(8, r8, r8, 'mm_struct.arg_end')
  p.subtract(r8, r6)
  p.store(4, r7, executed.argvBytes, r8)
  p.jumpIf(r8, '<=', limits.argvBytes, fits)
  p.move(r8, limits.argvBytes)
  p.label(fits)
  p.move(r1, r7)
  p.add(r1, r9)
  p.add(r1, executed.tail)
  p.move(r2, r8)
  p.move(r3, r6)
  p.call(helpers.readUser)
  p.jumpIf(r0, '==', 0, wasRead)
  addFlag(p, flags.argvUnread)
  p.move(r8, 0)
  p.label(wasRead)
  p.add(r9, r8)
  p.and(r9, tailMask)
  p.store(4, r7, executed.argvEnd, r9)
}
