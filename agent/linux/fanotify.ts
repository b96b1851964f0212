import { constants, readSync } from 'node:fs'
import { errorCode } from '../lib/errors.ts'
import { handleKey, parseFanotifyEvents } from './fanotify-events.ts'
import { libc, SystemCallError } from './libc.ts'

/** Event bits, to request and to receive (<linux/fanotify.h>). Permission events are never requested. */
export const fan = {
  MODIFY: 0x2,
  ATTRIB: 0x4,
  CLOSE_WRITE: 0x8,
  OPEN: 0x20,
  MOVED_FROM: 0x40,
  MOVED_TO: 0x80,
  CREATE: 0x100,
  DELETE: 0x200,
  Q_OVERFLOW: 0x4000,
  /** For a directory: also report events of the files in it. */
  EVENT_ON_CHILD: 0x8000000,
} as const

const fanotify_init = libc.func('int fanotify_init(unsigned int flags, unsigned int event_f_flags)') as (
  flags: number,
  eventFlags: number,
) => number
const fanotify_mark = libc.func(
  'int fanotify_mark(int fd, unsigned int flags, uint64_t mask, int dirfd, const char *path)',
) as (fd: number, flags: number, mask: number, directoryFd: number, path: string) => number
const name_to_handle_at = libc.func(
  'int name_to_handle_at(int dirfd, const char *path, void *handle, void *mount_id, int flags)',
) as (directoryFd: number, path: string, handle: Buffer, mountId: Buffer, flags: number) => number

const open_by_handle_at = libc.func('int open_by_handle_at(int mount_fd, void *handle, int flags)') as (
  descriptor: number,
  handle: Buffer,
  flags: number,
) => number
const statfs = libc.func('int statfs(const char *path, void *status)') as (
  path: string,
  status: Buffer,
) => number

const FAN_CLOEXEC = 0x1
const FAN_NONBLOCK = 0x2
const FAN_UNLIMITED_MARKS = 0x20
const FAN_REPORT_FID = 0x200
const FAN_REPORT_DFID_NAME = 0xc00
const FAN_MARK_ADD = 0x1
const FAN_MARK_FILESYSTEM = 0x100
// Node does not define it; the same on x86-64 and arm64.
const O_CLOEXEC = 0o2000000
const AT_FDCWD = -100

/**
 * Opens a group that reports the process behind each event, or throws a SystemCallError. It requests unlimited marks
 * because they need CAP_SYS_ADMIN: without it, Linux 5.13 and later would open a group that hides every pid.
 */
export function openFanotify(): number {
  const flags = FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_MARKS | FAN_REPORT_FID | FAN_REPORT_DFID_NAME
  const fd = fanotify_init(flags, 0)
  if (fd < 0) throw new SystemCallError('fanotify_init')
  return fd
}

/**
 * Opens a group for file systems without file handles, such as binfmt_misc: each event carries an open descriptor of
 * the object, which must be closed. It needs the same capability.
 */
export function openFanotifyByDescriptor(): number {
  const flags = FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_MARKS
  const fd = fanotify_init(flags, constants.O_RDONLY | constants.O_NONBLOCK | O_CLOEXEC)
  if (fd < 0) throw new SystemCallError('fanotify_init')
  return fd
}

/** Requests events of the file or directory that a path leads to; repeating it is harmless. */
export function markPath(fd: number, path: string, mask: number): void {
  if (fanotify_mark(fd, FAN_MARK_ADD, mask, AT_FDCWD, path) < 0) throw new SystemCallError('fanotify_mark')
}

/** Requests events of all files of a file system, through any mount in any namespace (Linux 4.20). */
export function markFileSystem(fd: number, path: string, mask: number): void {
  const flags = FAN_MARK_ADD | FAN_MARK_FILESYSTEM
  if (fanotify_mark(fd, flags, mask, AT_FDCWD, path) < 0) throw new SystemCallError('fanotify_mark')
}

const MAX_HANDLE_SZ = 128
const AT_HANDLE_FID = 0x200
const AT_SYMLINK_FOLLOW = 0x400

/** The handle that events carry for the object at a path. */
export function fileHandle(path: string): string {
  const handle = Buffer.alloc(8 + MAX_HANDLE_SZ)
  // AT_HANDLE_FID (Linux 6.5) also works for file systems that have handles but cannot open them.
  if (!nameToHandle(path, handle, AT_HANDLE_FID) && !nameToHandle(path, handle, 0))
    throw new SystemCallError('name_to_handle_at')
  return handleKey(handle.readInt32LE(4), handle.subarray(8, 8 + handle.readUInt32LE(0)))
}

/**
 * Opens the object of a handle, given any descriptor of the same file system (CAP_DAC_READ_SEARCH). Null if it is
 * gone. Uses O_PATH, because opening some kernel files for reading has side effects.
 */
export function openHandle(descriptor: number, handle: string): number | null {
  const [type = '', digits = ''] = handle.split(':')
  const bytes = Buffer.from(digits, 'hex')
  const header = Buffer.alloc(8)
  header.writeUInt32LE(bytes.length, 0)
  header.writeInt32LE(Number(type), 4)
  const fd = open_by_handle_at(descriptor, Buffer.concat([header, bytes]), O_PATH | O_CLOEXEC)
  if (fd >= 0) return fd
  const error = new SystemCallError('open_by_handle_at')
  if (error.errno === ESTALE || error.code === 'ENOENT') return null
  throw error
}

/** The id that events carry for the file system of a path (statfs(2)). */
export function fileSystemId(path: string): string {
  const status = Buffer.alloc(STATFS_BYTES)
  if (statfs(path, status) < 0) throw new SystemCallError('statfs')
  return status.toString('hex', F_FSID, F_FSID + 8)
}

// struct statfs of asm-generic/statfs.h on 64-bit machines: seven words, then f_fsid.
const STATFS_BYTES = 120
const F_FSID = 56
const O_PATH = 0o10000000
// Node does not define it.
const ESTALE = 116

function nameToHandle(path: string, handle: Buffer, flags: number): boolean {
  handle.writeUInt32LE(MAX_HANDLE_SZ, 0)
  return name_to_handle_at(AT_FDCWD, path, handle, Buffer.alloc(8), AT_SYMLINK_FOLLOW | flags) === 0
}

const buffer = Buffer.alloc(64 * 1024)

/** Reads the pending events; null if there are none. */
export function readFanotify(fd: number): ReturnType<typeof parseFanotifyEvents> | null {
  try {
    return parseFanotifyEvents(buffer.subarray(0, readSync(fd, buffer)))
  } catch (error) {
    if (errorCode(error) === 'EAGAIN') return null
    throw error
  }
}
