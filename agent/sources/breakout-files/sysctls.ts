import type { BreakoutFile } from '../../model/observation.ts'

export type Sysctl = {
  file: BreakoutFile
  /** Below /proc/sys. */
  name: string
  /** Size of the kernel's buffer, including the NUL. */
  bytes: number
}

/**
 * The sysctls that name a program which the kernel runs as root in the host's namespaces (call_usermodehelper() of
 * kernel/umh.c). None of them is namespaced: any process that may write one, anywhere, writes the host's.
 */
export const sysctls: readonly Sysctl[] = [
  { file: 'core_pattern', name: 'kernel/core_pattern', bytes: 128 }, // CORENAME_MAX_SIZE, fs/coredump.c
  { file: 'modprobe', name: 'kernel/modprobe', bytes: 256 }, // KMOD_PATH_LEN, kernel/module/kmod.c
  { file: 'hotplug', name: 'kernel/hotplug', bytes: 256 }, // UEVENT_HELPER_PATH_LEN, linux/kobject.h
  { file: 'poweroff_cmd', name: 'kernel/poweroff_cmd', bytes: 256 }, // POWEROFF_CMD_PATH_LEN, linux/reboot.h
]

/**
 * The value of a sysctl after a write, following proc_dostring() of kernel/sysctl.c: it reads up to a line break or
 * NUL and truncates to the buffer. A write at an offset replaces the rest of the value; a write beyond the end has no
 * effect (`sysctl_writes_strict`).
 */
export function valueAfter(before: string, written: Buffer, position: number, bytes: number): string {
  const old = Buffer.from(before)
  if (position > old.length) return before
  const end = written.findIndex((byte) => byte === 0 || byte === lineBreak)
  const text = written.subarray(0, end < 0 ? written.length : end)
  return Buffer.concat([old.subarray(0, position), text])
    .subarray(0, bytes - 1)
    .toString()
}

const lineBreak = 10
