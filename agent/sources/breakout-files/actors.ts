import { readFileSync } from 'node:fs'
import { describeCaller } from '../docker/api-requests/calling-process.ts'
import { hostUsers } from '../../linux/host-users.ts'
import type { Container, ContainerView } from '../../model/container.ts'
import type { FileWriter } from '../../model/observation.ts'
import { containerOf, parseCgroupFile } from '../processes/attribution/cgroup.ts'
import { containerFor } from '../processes/table/describe.ts'
import type { ProcessTable } from '../processes/table/table.ts'
import { readLiving, unknownActor } from '../processes/attribution/process-identity.ts'
import type { Actor } from './ledger.ts'

export type ActorResolverOptions = {
  table: ProcessTable
  containers: ContainerView
  procRoot: string
  passwdPath?: string
}

/** Identifies processes: by the process table, which remembers exited ones, or by /proc while they run. */
export type ActorResolver = {
  writerOf(actor: Actor): FileWriter
  /** Null for the host, or if unknown. */
  containerOf(actor: Actor): Container | null
}

/** Describes a process whose pid the kernel reported. */
export function actorResolver({
  table,
  containers,
  procRoot,
  passwdPath,
}: ActorResolverOptions): ActorResolver {
  const users = hostUsers(passwdPath)

  function writerOf({ pid, exact }: Actor): FileWriter {
    const key = exact ?? table.latest(pid) ?? readLiving(procRoot, pid)
    if (key === null) return unknownActor(pid)
    return describeCaller({ pid, startTicks: key.startTicks, uid: key.euid }, { table, procRoot, users })
  }

  /** By the cgroup reported with the write, else by the process's origin: a process can leave its cgroup. */
  function containerOfActor({ pid, exact }: Actor): Container | null {
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

  return { writerOf, containerOf: containerOfActor }
}
