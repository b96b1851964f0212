import { readFileSync } from 'node:fs'
import { parseCgroupMounts } from '../../agent/sources/resources/cgroup-mounts.ts'
import {
  hostMounts,
  locateCgroup,
  type CgroupDirectories,
} from '../../agent/sources/resources/cgroup-directories.ts'

/** The cgroup hierarchies of this host. */
export function mountsHere() {
  return hostMounts(parseCgroupMounts(readFileSync('/proc/self/mountinfo', 'latin1'), '/sys/fs/cgroup'))
}

/** The cgroup directories of a running container, from its first process, for tests that write or watch its files. */
export function cgroupDirectoriesOf(id: string, pid: number): CgroupDirectories {
  const memberships = readFileSync(`/proc/${pid}/cgroup`, 'latin1')
  const directories = locateCgroup(mountsHere(), memberships, id)
  if (directories === null) throw new Error(`${id} has no cgroup of its own`)
  return directories
}
