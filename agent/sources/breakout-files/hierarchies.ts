import { parseMounts, unescapeOctal } from '../../linux/mountinfo.ts'

/** A mount of a cgroup v1 hierarchy in some mount namespace. */
export type HierarchyMount = {
  mountPoint: string
  /** It shows the whole hierarchy; release_agent exists only in the root. */
  isWhole: boolean
  /** Mount options as the kernel prints them: controllers, `name=`, `release_agent=`. */
  options: string
}

/**
 * The cgroup v1 hierarchies in /proc/PID/cgroup, by the kernel's names: `cpu,cpuacct`, `name=systemd`. The file lists
 * every hierarchy, including those that are mounted only in another mount namespace.
 */
export function parseHierarchies(text: string): string[] {
  return text.split('\n').flatMap((line) => /^\d+:([^:]+):/.exec(line)?.[1] ?? [])
}

/** Finds the mount of a hierarchy in a /proc/PID/mountinfo, preferring a mount of its root; null if there is none. */
export function findHierarchyMount(mountinfo: string, hierarchy: string): HierarchyMount | null {
  const names = hierarchy.split(',')
  let found: HierarchyMount | null = null
  for (const { type, root, mountPoint, superOptions } of parseMounts(mountinfo)) {
    if (type !== 'cgroup') continue
    const options = superOptions.split(',')
    if (!names.every((name) => options.includes(name))) continue
    const mount = { mountPoint, isWhole: root === '/', options: unescapeOctal(superOptions) }
    if (mount.isWhole) return mount
    found ??= mount
  }
  return found
}
