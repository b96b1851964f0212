import { closeSync } from 'node:fs'
import { libc, SystemCallError } from './libc.ts'

/**
 * Mounts a file system without attaching it to a path, for the owner of the returned descriptor only (fsopen(2),
 * Linux 5.2). It can be read below `/proc/self/fd/N`, and the host's mounts do not change. Closing the descriptor
 * unmounts it.
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

// System calls added after Linux 4.17 have the same number on all processors (asm-generic/unistd.h).
const FSOPEN = 430
const FSCONFIG = 431
const FSMOUNT = 432

// linux/mount.h; the flag is the same for both calls.
const CLOEXEC = 1
const FSCONFIG_CMD_CREATE = 6
// nosuid, nodev and noexec.
const MOUNT_ATTR_HARMLESS = 0x2 | 0x4 | 0x8

// glibc has wrappers for them only since 2.36.
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
