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
 * Answers whose a pid is that another source has just seen: from the table, which remembers the dead, else
 * from the process's cgroup while it lives. Null for the host and for one that nobody knows.
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
      // The engine has yet to tell of it, or it is another engine's: of the host it is not.
      return containerFor({ id, build: false }, containers)
    } catch {
      return null
    }
  }
}
