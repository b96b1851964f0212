import { readFileSync } from 'node:fs'
import { deviceNumber } from '../../../linux/device-number.ts'

/**
 * The superblock that a container has its root on, which is nobody else's: whoever runs a program from it is in the
 * container, whatever his namespaces say. Null for storage drivers that put several containers on one file system.
 */
export function readRootDevice(procRoot: string, pid: number): number | null {
  return readRoot(procRoot, pid).device
}

/** The same, and the folder of the host that takes what is written there; empty where there is no such. */
export function readRoot(procRoot: string, pid: number): { device: number | null; upperDirectory: string } {
  try {
    const mountinfo = readFileSync(`${procRoot}/${pid}/mountinfo`, 'utf8')
    return { device: rootDeviceIn(mountinfo), upperDirectory: upperDirectoryIn(mountinfo) }
  } catch {
    // Gone (EINVAL, where only its parent's wait(2) is missing), or it may not be asked: both are just not known.
    return { device: null, upperDirectory: '' }
  }
}

/** The superblock of a process's root, whatever else is on it; null where that is not known. */
export function deviceOfRoot(procRoot: string, pid: number | 'self'): number | null {
  try {
    return deviceIn(rootIn(readFileSync(`${procRoot}/${pid}/mountinfo`, 'utf8')))
  } catch {
    return null
  }
}

// overlay2, and what a rootless engine uses where the kernel does not allow that.
const ownFileSystems = new Set(['overlay', 'fuse.fuse-overlayfs'])

/** Reads /proc/PID/mountinfo: of several mounts at one place the last is the one that is seen. */
export function rootDeviceIn(mountinfo: string): number | null {
  const root = rootIn(mountinfo)
  const fileSystem = root[root.indexOf('-') + 1] ?? ''
  return ownFileSystems.has(fileSystem) ? deviceIn(root) : null
}

function deviceIn([, , device = '']: readonly string[]): number | null {
  const [major = NaN, minor = NaN] = device.split(':').map(Number)
  return Number.isInteger(major) && Number.isInteger(minor) ? deviceNumber(major, minor) : null
}

/** The `upperdir=` of an overlay at the root. */
export function upperDirectoryIn(mountinfo: string): string {
  const root = rootIn(mountinfo)
  const options = root[root.indexOf('-') + 3] ?? ''
  return root[root.indexOf('-') + 1] === 'overlay' ? (/(?:^|,)upperdir=([^,]+)/.exec(options)?.[1] ?? '') : ''
}

function rootIn(mountinfo: string): string[] {
  const roots = mountinfo.split('\n').filter((line) => line.split(' ')[4] === '/')
  return roots.at(-1)?.split(' ') ?? []
}
