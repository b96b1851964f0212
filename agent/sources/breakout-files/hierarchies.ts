import { unescapeOctal } from '../resources/cgroup-mounts.ts'

/** A mount of a cgroup hierarchy of version 1 in some mount namespace. */
export type HierarchyMount = {
  mountPoint: string
  /** It shows the whole hierarchy: only there a release_agent is found. */
  isWhole: boolean
  /** Of the hierarchy, as the kernel prints them: controllers, `name=`, `release_agent=`. */
  options: string
}

/**
 * The hierarchies of version 1 in /proc/PID/cgroup, by what the kernel calls them: `cpu,cpuacct`, `name=systemd`. All
 * that exist are there, also one that was mounted in another mount namespace alone.
 */
export function parseHierarchies(text: string): string[] {
  return text.split('\n').flatMap((line) => /^\d+:([^:]+):/.exec(line)?.[1] ?? [])
}

/** Where a hierarchy is mounted by a /proc/PID/mountinfo, the whole of it where there is a choice; null for nowhere. */
export function findHierarchyMount(mountinfo: string, hierarchy: string): HierarchyMount | null {
  const parts = hierarchy.split(',')
  let found: HierarchyMount | null = null
  for (const line of mountinfo.split('\n')) {
    const [own = '', filesystem = ''] = line.split(' - ', 2)
    const [type, , options = ''] = filesystem.split(' ')
    if (type !== 'cgroup') continue
    const words = options.split(',')
    if (!parts.every((part) => words.includes(part))) continue
    const [, , , root = '', mountPoint = ''] = own.split(' ').map(unescapeOctal)
    const mount = { mountPoint, isWhole: root === '/', options: unescapeOctal(options) }
    if (mount.isWhole) return mount
    found ??= mount
  }
  return found
}
