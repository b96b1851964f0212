import { readFileSync } from 'node:fs'
import { parseCgroupMounts } from '../../agent/sources/resources/cgroup-mounts.ts'
import { hostMounts, locateCgroup, type Places } from '../../agent/sources/resources/cgroup-places.ts'

/** The cgroup hierarchies of this host. */
export function mountsHere() {
  return hostMounts(parseCgroupMounts(readFileSync('/proc/self/mountinfo', 'latin1'), '/sys/fs/cgroup'))
}

/** Where a running container's files are, by its first process, for those that write or watch them. */
export function placesOf(id: string, pid: number): Places {
  const memberships = readFileSync(`/proc/${pid}/cgroup`, 'latin1')
  const places = locateCgroup(mountsHere(), memberships, id)
  if (places === null) throw new Error(`${id} is in no cgroup of its own`)
  return places
}
