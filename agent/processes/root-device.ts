import { readFileSync } from 'node:fs'
import { deviceNumber } from './device.ts'

/**
 * The superblock that a container has its root on, which is nobody else's: whoever runs a program from it is in the
 * container, whatever his namespaces say. Null for storage drivers that put several containers on one file system.
 */
export function readRootDevice(procRoot: string, pid: number): number | null {
  try {
    return rootDeviceIn(readFileSync(`${procRoot}/${pid}/mountinfo`, 'latin1'))
  } catch {
    // Gone (EINVAL, where only its parent's wait(2) is missing), or it may not be asked: both are just not known.
    return null
  }
}

// overlay2, and what a rootless engine uses where the kernel does not allow that.
const ownFileSystems = new Set(['overlay', 'fuse.fuse-overlayfs'])

/** Reads /proc/PID/mountinfo: of several mounts at one place the last is the one that is seen. */
export function rootDeviceIn(mountinfo: string): number | null {
  const roots = mountinfo.split('\n').filter((line) => line.split(' ')[4] === '/')
  const [, , device = '', ...rest] = roots.at(-1)?.split(' ') ?? []
  const fileSystem = rest[rest.indexOf('-') + 1] ?? ''
  const [major = NaN, minor = NaN] = device.split(':').map(Number)
  if (!ownFileSystems.has(fileSystem) || !Number.isInteger(major) || !Number.isInteger(minor)) return null
  return deviceNumber(major, minor)
}
