import { type BigIntStats, statSync } from 'node:fs'
import type { HostFiles, Namespaces } from '../../../model/observation.ts'
import type { KnownProcess, Membership } from '../table/known-process.ts'
import { readNamespaces, readStat } from '../table/procfs-process.ts'
import { deviceOfRoot } from './root-device.ts'

export type HostFilesCheck = {
  /** How a container's process has access to the host's file tree; null where it has none, or has exited. */
  now(process: KnownProcess, membership: Membership): HostFiles | null
  /** The same at the moment of an exec reported by the kernel. */
  atExec(process: KnownProcess, membership: Membership): HostFiles | null
}

/**
 * The root is read while the process runs: a stat(2) of some 7 µs, which misses a process that exits immediately. Two
 * roots are the same directory if file system and inode match, whichever mounts lead to it: so a bind mount of /
 * matches. At an exec the kernel reports the file system of the root. Most containers have one of their own, so a
 * comparison is usually enough.
 */
export function hostFilesCheck(procRoot: string, hostNamespaces: Namespaces): HostFilesCheck {
  // Our own where the host's first process may not be read.
  const host = rootOf(procRoot, 1) === null ? 'self' : 1
  const hostRoot = rootOf(procRoot, host)
  // Not the device of stat(2): btrfs has a different one for each subvolume.
  const hostDevice = deviceOfRoot(procRoot, host)

  function atExec(process: KnownProcess, membership: Membership): HostFiles | null {
    const { rootDevice, namespaces } = process
    const isOtherRoot = rootDevice !== 0 && hostDevice !== null && rootDevice !== hostDevice
    return isOtherRoot && !isOfHost(namespaces) ? null : now(process, membership)
  }

  function now({ pid, startTicks, namespaces }: KnownProcess, { hadHostMounts }: Membership) {
    // A process that kept the host's mounts when it entered has never left them: no escape.
    if (hadHostMounts) return null
    if (isOfHost(namespaces)) return 'mount-namespace'
    const root = hostRoot === null ? null : rootOf(procRoot, pid)
    if (root === null || hostRoot === null) return null
    if (root.dev !== hostRoot.dev || root.ino !== hostRoot.ino) return null
    // The pid may have been reused by a host process.
    if (readStat(procRoot, pid)?.startTicks !== startTicks) return null
    // A process that enters the mount namespace also gets its root, and may have entered since.
    return isOfHost(readNamespaces(`${procRoot}/${pid}`)) ? 'mount-namespace' : 'root'
  }

  function isOfHost({ mount }: Namespaces): boolean {
    return mount !== 0 && mount === hostNamespaces.mount
  }

  return { now, atExec }
}

/** Null for a process that has exited or may not be read. */
function rootOf(procRoot: string, pid: number | 'self'): BigIntStats | null {
  try {
    return statSync(`${procRoot}/${pid}/root`, { bigint: true, throwIfNoEntry: false }) ?? null
  } catch {
    return null
  }
}
