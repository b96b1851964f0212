import { readFileSync } from 'node:fs'
import type { Container, ContainerView } from '../../../model/container.ts'
import { containerOf, parseCgroupFile } from './cgroup.ts'
import { containerFor } from '../table/describe.ts'
import type { ProcessTable } from '../table/table.ts'

export type ContainerOfPidOptions = {
  table: ProcessTable
  containers: ContainerView
  procRoot: string
}

/**
 * Resolves a pid that another source has just seen to its container: from the table, which remembers exited processes,
 * or from the process's cgroup while it runs. Null for host processes and unknown ones.
 */
export function containerOfPid({ table, containers, procRoot }: ContainerOfPidOptions) {
  return (pid: number): Container | null => {
    const membership = table.latest(pid)?.membership
    if (membership) return containerFor(membership, containers)
    try {
      const cgroup = parseCgroupFile(readFileSync(`${procRoot}/${pid}/cgroup`, 'latin1'))
      const known = containerOf(cgroup, containers)
      const [id] = cgroup.ids
      if (known !== undefined || id === undefined) return known ?? null
      // The engine has not reported it yet, or it belongs to another engine: in either case not a host process.
      return containerFor({ id, build: false }, containers)
    } catch {
      return null
    }
  }
}
