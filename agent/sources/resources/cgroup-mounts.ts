import { join, posix } from 'node:path'

/** Where a cgroup hierarchy is mounted, and which part of it is seen there (`/` for all of it). */
export type CgroupMount = { mountPoint: string; root: string }

/** Each hierarchy of version 1 by the controllers it carries, and the unified one of version 2. */
export type CgroupMounts = { v1: ReadonlyMap<string, CgroupMount>; v2: CgroupMount | null }

/**
 * Finds the hierarchies in `/proc/self/mountinfo`, because every host mounts them as it likes: cpu and cpuacct
 * joined or apart, version 2 alone or beside version 1.
 */
export function parseCgroupMounts(mountinfo: string, cgroupRoot: string): CgroupMounts {
  const v1 = new Map<string, CgroupMount>()
  let v2: CgroupMount | null = null
  for (const line of mountinfo.split('\n')) {
    const [own = '', filesystem = ''] = line.split(' - ', 2)
    const [type, , superOptions = ''] = filesystem.split(' ')
    if (type !== 'cgroup' && type !== 'cgroup2') continue
    const [, , , root = '/', mountPoint = '/'] = own.split(' ').map(unescapeOctal)
    const mount = { mountPoint: relocate(mountPoint, cgroupRoot), root }
    if (type === 'cgroup2') v2 ??= mount
    else for (const option of superOptions.split(',')) if (!v1.has(option)) v1.set(option, mount)
  }
  return { v1, v2 }
}

/** The kernel writes space, tab, newline and backslash in a path as `\040` and so on (proc_pid_mountinfo(5)). */
export function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}

function relocate(mountPoint: string, cgroupRoot: string): string {
  const standard = '/sys/fs/cgroup'
  const below = mountPoint === standard || mountPoint.startsWith(`${standard}/`)
  return below ? join(cgroupRoot, mountPoint.slice(standard.length)) : mountPoint
}

/** Reads `/proc/<pid>/cgroup` to the path of each controller; that of version 2 is under the empty name. */
export function parseMemberships(text: string): ReadonlyMap<string, string> {
  const paths = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    if (controllers === undefined || path === undefined) continue
    for (const controller of controllers.split(',')) paths.set(controller, path)
  }
  return paths
}

/**
 * The cgroup of a container in the path of one of its processes, or null when the path does not lead through
 * it. Parents vary, and processes may sit deeper: systemd and nested engines make cgroups of their own.
 */
export function containerCgroup(path: string, containerId: string): string | null {
  const parts = path.split('/')
  const index = parts.findIndex((part) => part === containerId || part.endsWith(`-${containerId}.scope`))
  return index < 0 ? null : parts.slice(0, index + 1).join('/')
}

/** The directory of a cgroup below its mount, or null when that part of the hierarchy is not mounted here. */
export function cgroupDirectory(mount: CgroupMount, cgroup: string): string | null {
  const below = mount.root === '/' ? cgroup : cgroup.slice(mount.root.length)
  const seen = mount.root === '/' || cgroup === mount.root || cgroup.startsWith(`${mount.root}/`)
  return seen && !below.split('/').includes('..') ? posix.join(mount.mountPoint, below) : null
}
