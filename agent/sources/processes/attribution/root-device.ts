import { readFileSync } from 'node:fs'
import { type Mount, parseMount } from '../../../linux/mountinfo.ts'

/**
 * The superblock of a container's root, which no other container shares: a process whose program is on it is in the
 * container, whatever its namespaces are. Null for storage drivers that put several containers on one file system.
 */
export function readRootDevice(procRoot: string, pid: number): number | null {
  return readRoot(procRoot, pid).device
}

/** The same, and the host directory that receives writes to the root; empty where there is none. */
export function readRoot(procRoot: string, pid: number): { device: number | null; upperDirectory: string } {
  try {
    const mountinfo = readFileSync(`${procRoot}/${pid}/mountinfo`, 'utf8')
    return { device: rootDeviceIn(mountinfo), upperDirectory: upperDirectoryIn(mountinfo) }
  } catch {
    // Exited (EINVAL for a zombie), or may not be read: in both cases unknown.
    return { device: null, upperDirectory: '' }
  }
}

/** The superblock of a process's root, even if containers share it; null where unknown. */
export function deviceOfRoot(procRoot: string, pid: number | 'self'): number | null {
  try {
    return rootIn(readFileSync(`${procRoot}/${pid}/mountinfo`, 'utf8'))?.device ?? null
  } catch {
    return null
  }
}

// overlay2, and what a rootless engine uses where the kernel does not allow it.
const ownFileSystems = new Set(['overlay', 'fuse.fuse-overlayfs'])

/** The root's device by the text of /proc/PID/mountinfo, where only this container uses it; null otherwise. */
export function rootDeviceIn(mountinfo: string): number | null {
  const root = rootIn(mountinfo)
  return root !== null && ownFileSystems.has(root.type) ? root.device : null
}

/** The `upperdir=` of an overlay at the root; empty where there is none. */
export function upperDirectoryIn(mountinfo: string): string {
  const root = rootIn(mountinfo)
  return root?.type === 'overlay' ? (/(?:^|,)upperdir=([^,]+)/.exec(root.superOptions)?.[1] ?? '') : ''
}

/** Of several mounts at one path, the last one is visible. */
function rootIn(mountinfo: string): Mount | null {
  const line = mountinfo.split('\n').findLast((one) => one.split(' ', 5)[4] === '/')
  return line === undefined ? null : parseMount(line)
}
