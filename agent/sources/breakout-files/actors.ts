import { readFileSync } from 'node:fs'
import { describeCaller } from '../docker/api-requests/calling-process.ts'
import { hostUsers } from '../../linux/host-users.ts'
import type { Container, ContainerView } from '../../model/container.ts'
import type { FileWriter } from '../../model/observation.ts'
import { containerOf, parseCgroupFile } from '../processes/attribution/cgroup.ts'
import { containerFor } from '../processes/table/describe.ts'
import type { ProcessTable } from '../processes/table/table.ts'
import { readLiving, unknownWho } from '../processes/attribution/process-identity.ts'
import type { Doer } from './ledger.ts'

export type DoersOptions = {
  table: ProcessTable
  containers: ContainerView
  procRoot: string
  passwdPath?: string
}

/** Who did it, by the process table, which remembers the dead, or by /proc while it lives. */
export type Doers = {
  writerOf(doer: Doer): FileWriter
  /** Null for the host, or where nobody knows. */
  containerOf(doer: Doer): Container | null
}

/** What there is to tell of a process that the kernel named. */
export function doers({ table, containers, procRoot, passwdPath }: DoersOptions): Doers {
  const users = hostUsers(passwdPath)

  function writerOf({ pid, exact }: Doer): FileWriter {
    const key = exact ?? table.latest(pid) ?? readLiving(procRoot, pid)
    if (key === null) return unknownWho(pid)
    return describeCaller({ pid, startTicks: key.startTicks, uid: key.euid }, { table, procRoot, users })
  }

  /** The kernel's word for where it was as it wrote, and else where it came from: a process can leave its cgroup. */
  function containerOfDoer({ pid, exact }: Doer): Container | null {
    const known = exact === undefined ? table.latest(pid) : table.find({ pid, ...exact })
    const cgroup = exact?.cgroup ?? known?.cgroup ?? cgroupNow(pid)
    const [id] = cgroup.ids
    if (id !== undefined)
      return containerOf(cgroup, containers) ?? containerFor({ id, build: false }, containers)
    return known?.membership ? containerFor(known.membership, containers) : null
  }

  function cgroupNow(pid: number) {
    try {
      return parseCgroupFile(readFileSync(`${procRoot}/${pid}/cgroup`, 'latin1'))
    } catch {
      return parseCgroupFile('')
    }
  }

  return { writerOf, containerOf: containerOfDoer }
}
