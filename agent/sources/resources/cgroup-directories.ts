import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  cgroupDirectory,
  type CgroupMount,
  type CgroupMounts,
  containerCgroup,
  parseMemberships,
} from './cgroup-mounts.ts'
import { isVanished } from './open-file-cache.ts'

export type CgroupMode = 'cgroup-v1' | 'cgroup-v2'

/** The hierarchies of this host, and the controllers of the unified one, which exclude those that version 1 has. */
export type HostMounts = {
  v1: CgroupMounts['v1']
  v2: (CgroupMount & { controllers: ReadonlySet<string> }) | null
}

/** Adds the controllers of the unified hierarchy, which mountinfo does not show. */
export function hostMounts({ v1, v2 }: CgroupMounts): HostMounts {
  return { v1, v2: v2 === null ? null : { ...v2, controllers: controllersOf(v2) } }
}

function controllersOf({ mountPoint }: CgroupMount): ReadonlySet<string> {
  try {
    return new Set(readFileSync(join(mountPoint, 'cgroup.controllers'), 'latin1').trim().split(' '))
  } catch (error) {
    if (isVanished(error)) return new Set()
    throw error
  }
}

/** The cgroup version that counts resources on this host; null when none does. */
export function modeOf({ v1, v2 }: HostMounts): CgroupMode | null {
  const counting = ['memory', 'cpu', 'pids']
  if (counting.some((controller) => v1.has(controller))) return 'cgroup-v1'
  return counting.some((controller) => v2?.controllers.has(controller)) ? 'cgroup-v2' : null
}

export type Controller = 'memory' | 'cpu' | 'cpuacct' | 'pids'

/**
 * The directory with the files of a controller; `parents` counts the visible directories above it, whose limits apply
 * too.
 */
export type ControllerDirectory = { version: 1 | 2; directory: string; parents: number }

/** The directories of one container. `unified` is its directory in the version 2 hierarchy itself. */
export type CgroupDirectories = Readonly<Record<Controller, ControllerDirectory | null>> & {
  io: ControllerDirectory | null
  unified: string | null
}

/**
 * Finds the directories of a container from `/proc/<pid>/cgroup` of its first process. A controller that the host
 * lacks is null; the result is null when the process is in no cgroup of this container.
 */
export function locateCgroup(
  mounts: HostMounts,
  memberships: string,
  containerId: string,
): CgroupDirectories | null {
  const paths = parseMemberships(memberships)
  const cgroupOf = (membership: string) => containerCgroup(paths.get(membership) ?? '', containerId)
  if ([...paths.keys()].every((membership) => cgroupOf(membership) === null)) return null

  function directoryOf(nameV1: string, nameV2: string): ControllerDirectory | null {
    const v1 = mounts.v1.get(nameV1)
    if (v1 !== undefined) return { version: 1, ...below(v1, nameV1, cgroupOf(nameV1)) }
    if (mounts.v2 === null || !mounts.v2.controllers.has(nameV2)) return null
    return { version: 2, ...below(mounts.v2, nameV2, cgroupOf('')) }
  }

  function below(mount: CgroupMount, controller: string, cgroup: string | null) {
    if (cgroup === null) throw new Error(`its first process is not in its ${controller} cgroup`)
    const directory = cgroupDirectory(mount, cgroup)
    if (directory === null)
      throw new Error(`${cgroup} is not below ${mount.root}, mounted at ${mount.mountPoint}`)
    return { directory, parents: directory.slice(mount.mountPoint.length).split('/').length - 1 }
  }

  const unified = cgroupOf('')
  const isOutsideBlkio = mounts.v1.has('blkio') && cgroupOf('blkio') === null
  return {
    memory: directoryOf('memory', 'memory'),
    cpu: directoryOf('cpu', 'cpu'),
    cpuacct: directoryOf('cpuacct', 'cpuacct'),
    pids: directoryOf('pids', 'pids'),
    io: isOutsideBlkio ? null : directoryOf('blkio', 'io'),
    unified: mounts.v2 === null || unified === null ? null : cgroupDirectory(mounts.v2, unified),
  }
}
