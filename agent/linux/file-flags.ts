import { closeSync, constants, openSync } from 'node:fs'
import { libc } from './libc.ts'

// Variadic in C; on x86-64 and arm64 Linux a pointer is passed the same way (System V ABI, AAPCS64).
const ioctl = libc.func('int ioctl(int fd, unsigned long request, void *flags)') as (
  fd: number,
  request: number,
  flags: Buffer,
) => number

// <linux/fs.h>: _IOR('f', 1, long), and the flag that `chattr +i` sets.
const FS_IOC_GETFLAGS = 0x80086601
const FS_IMMUTABLE_FL = 0x10

/** Whether a file has the immutable flag (chattr(1)); null if its file system does not support it. */
export function isImmutable(path: string): boolean | null {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch {
    return null
  }
  try {
    // The kernel writes an int, although the request number says long.
    const flags = Buffer.alloc(8)
    return ioctl(fd, FS_IOC_GETFLAGS, flags) === 0 ? (flags.readUInt32LE(0) & FS_IMMUTABLE_FL) !== 0 : null
  } finally {
    closeSync(fd)
  }
}
