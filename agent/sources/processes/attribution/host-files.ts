import { type BigIntStats, statSync } from 'node:fs'
import type { HostFiles, Namespaces } from '../../../model/observation.ts'
import type { KnownProcess, Membership } from '../table/known-process.ts'
import { readNamespaces, readStat } from '../table/procfs-process.ts'
import { deviceOfRoot } from './root-device.ts'

export type HostFilesCheck = {
  /** By what a container's process sees the host's files as the host does; null where it does not, or is gone. */
  now(process: KnownProcess, membership: Membership): HostFiles | null
  /** The same of one that the kernel has just seen run a program. */
  atExec(process: KnownProcess, membership: Membership): HostFiles | null
}

/**
 * A root is looked at while the process lives: a stat(2) of some 7 µs, which one that is gone at once escapes. Two
 * roots are the same directory when file system and inode are, whichever mounts lead to it: so is a bind mount of /.
 * At an exec the kernel says on which file system the root is, and most containers have one of their own: no more of
 * a cost than a comparison.
 */
export function hostFilesCheck(procRoot: string, hostNamespaces: Namespaces): HostFilesCheck {
  // Our own where the host's first process may not be asked.
  const host = rootOf(procRoot, 1) === null ? 'self' : 1
  const hostRoot = rootOf(procRoot, host)
  // Not the one that stat(2) tells: btrfs gives each of its subvolumes another.
  const hostDevice = deviceOfRoot(procRoot, host)

  function atExec(process: KnownProcess, membership: Membership): HostFiles | null {
    const { rootDevice, namespaces } = process
    const isElsewhere = rootDevice !== 0 && hostDevice !== null && rootDevice !== hostDevice
    return isElsewhere && !isOfHost(namespaces) ? null : now(process, membership)
  }

  function now({ pid, startTicks, namespaces }: KnownProcess, { hadHostMounts }: Membership) {
    // Who came from the host's mounts, into another namespace only, has never left them.
    if (hadHostMounts) return null
    if (isOfHost(namespaces)) return 'mount-namespace'
    const root = hostRoot === null ? null : rootOf(procRoot, pid)
    if (root === null || hostRoot === null) return null
    if (root.dev !== hostRoot.dev || root.ino !== hostRoot.ino) return null
    // Another process, of the host, may have the pid by now.
    if (readStat(procRoot, pid)?.startTicks !== startTicks) return null
    // Whoever enters the mount namespace gets its root too, and may have done so since.
    return isOfHost(readNamespaces(`${procRoot}/${pid}`)) ? 'mount-namespace' : 'root'
  }

  function isOfHost({ mount }: Namespaces): boolean {
    return mount !== 0 && mount === hostNamespaces.mount
  }

  return { now, atExec }
}

/** Null for one that is gone or may not be asked. */
function rootOf(procRoot: string, pid: number | 'self'): BigIntStats | null {
  try {
    return statSync(`${procRoot}/${pid}/root`, { bigint: true, throwIfNoEntry: false }) ?? null
  } catch {
    return null
  }
}
