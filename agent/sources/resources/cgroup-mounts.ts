import { join, posix } from 'node:path'
import { parseMounts } from '../../linux/mountinfo.ts'

/** Where a cgroup hierarchy is mounted, and which part of it is visible there (`/` for all of it). */
export type CgroupMount = { mountPoint: string; root: string }

/** The hierarchies of version 1 by controller, and the unified hierarchy of version 2. */
export type CgroupMounts = { v1: ReadonlyMap<string, CgroupMount>; v2: CgroupMount | null }

/**
 * Finds the hierarchies in `/proc/self/mountinfo`, because hosts mount them differently: cpu and cpuacct together or
 * apart, version 2 alone or next to version 1.
 */
export function parseCgroupMounts(mountinfo: string, cgroupRoot: string): CgroupMounts {
  const v1 = new Map<string, CgroupMount>()
  let v2: CgroupMount | null = null
  for (const { type, root, mountPoint, superOptions } of parseMounts(mountinfo)) {
    if (type !== 'cgroup' && type !== 'cgroup2') continue
    const mount = { mountPoint: relocate(mountPoint, cgroupRoot), root }
    if (type === 'cgroup2') v2 ??= mount
    else for (const option of superOptions.split(',')) if (!v1.has(option)) v1.set(option, mount)
  }
  return { v1, v2 }
}

function relocate(mountPoint: string, cgroupRoot: string): string {
  const standard = '/sys/fs/cgroup'
  const below = mountPoint === standard || mountPoint.startsWith(`${standard}/`)
  return below ? join(cgroupRoot, mountPoint.slice(standard.length)) : mountPoint
}

/** Parses `/proc/<pid>/cgroup` into the path of each controller; the version 2 path has the empty name. */
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
 * The cgroup of a container in the path of one of its processes, or null when the path does not contain it. Parents
 * vary, and processes may be in deeper cgroups: systemd and nested engines create their own.
 */
export function containerCgroup(path: string, containerId: string): string | null {
  const parts = path.split('/')
  const index = parts.findIndex((part) => part === containerId || part.endsWith(`-${containerId}.scope`))
  return index < 0 ? null : parts.slice(0, index + 1).join('/')
}

/** The directory of a cgroup below its mount, or null when that part of the hierarchy is not mounted here. */
export function cgroupDirectory(mount: CgroupMount, cgroup: string): string | null {
  const below = mount.root === '/' ? cgroup : cgroup.slice(mount.root.length)
  const isVisible = mount.root === '/' || cgroup === mount.root || cgroup.startsWith(`${mount.root}/`)
  return isVisible && !below.split('/').includes('..') ? posix.join(mount.mountPoint, below) : null
}
