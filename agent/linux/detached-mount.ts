import { closeSync } from 'node:fs'
import { libc, SystemCallError } from './libc.ts'

/**
 * Mounts a file system at no place, for the owner of the returned descriptor alone (fsopen(2), Linux 5.2): what the
 * kernel keeps there can be read below `/proc/self/fd/N`, and the host's mounts stay as they are. Closing it unmounts.
 */
export function mountDetached(type: string): number {
  const context = checked('fsopen', fsopen(FSOPEN, type, CLOEXEC))
  try {
    checked('fsconfig', fsconfig(FSCONFIG, context, FSCONFIG_CMD_CREATE, null, null, 0))
    return checked('fsmount', fsmount(FSMOUNT, context, CLOEXEC, MOUNT_ATTR_HARMLESS))
  } finally {
    closeSync(context)
  }
}

// Where system calls are newer than 4.17, their numbers are the same on all processors (asm-generic/unistd.h).
const FSOPEN = 430
const FSCONFIG = 431
const FSMOUNT = 432

// linux/mount.h; the flag is the same for both calls.
const CLOEXEC = 1
const FSCONFIG_CMD_CREATE = 6
// No setuid, devices or programs.
const MOUNT_ATTR_HARMLESS = 0x2 | 0x4 | 0x8

// The C library has names for them only since glibc 2.36.
const fsopen = libc.func('long syscall(long number, const char *type, long flags)') as (
  number: number,
  type: string,
  flags: number,
) => number
const fsconfig = libc.func(
  'long syscall(long number, long context, long command, void *key, void *value, long aux)',
) as (number: number, context: number, command: number, key: null, value: null, aux: number) => number
const fsmount = libc.func('long syscall(long number, long context, long flags, long attributes)') as (
  number: number,
  context: number,
  flags: number,
  attributes: number,
) => number

function checked(call: string, result: number): number {
  if (result < 0) throw new SystemCallError(call)
  return result
}
