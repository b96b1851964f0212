import { type Container, type ContainerView, unknownContainer } from '../../../model/container.ts'
import type { Process, ProcessOrigin } from '../../../model/observation.ts'
import type { KnownProcess, Membership, SeenProcess } from './known-process.ts'
import type { ProcessTable } from './table.ts'
import type { UidMaps } from '../../../linux/uid-map.ts'

/**
 * A process as observations tell it. `bootTime` in epoch milliseconds is what its start is counted from;
 * `userNamespace` is its container's.
 */
export function describeProcess(
  process: SeenProcess,
  bootTime: number,
  uidMaps: UidMaps,
  userNamespace = process.namespaces.user,
): Process {
  const { pid, parentPid, uid, euid, gid, namespaces } = process
  return {
    pid,
    parentPid,
    startTicks: process.startTicks,
    startedAt: startTime(process, bootTime),
    uid,
    euid,
    gid,
    containerUid: uidMaps.inNamespace(uid, userNamespace),
    containerEuid: uidMaps.inNamespace(euid, userNamespace),
    capabilities: BigInt(process.capabilities),
    ...process.program(),
    namespaces,
    cgroup: process.cgroup.path,
  }
}

/** Epoch milliseconds, the same for one process however it became known. */
export function startTime({ startTicks }: Pick<KnownProcess, 'startTicks'>, bootTime: number): number {
  return Math.round(bootTime) + startTicks * 10
}

/** How a member of a container came into it, by the best that is known now. */
export function originOf(
  membership: Membership,
  container: Container,
  table: ProcessTable,
  bootTime: number,
): ProcessOrigin {
  const { entry } = membership
  const entered = {
    via: 'entered',
    entry: { pid: entry.pid, startTicks: entry.startTicks, startedAt: startTime(entry, bootTime) },
    ...membership.brought,
  } as const
  const initPid = container.details?.pid ?? 0
  if (initPid === entry.pid) return { via: 'init' }
  // What the engine said may be of the run before: only a living init can tell that another is none.
  const init = table.get(initPid)
  if (init?.membership?.id !== membership.id) return membership.first ? { via: 'init' } : entered
  // In the host's pid namespace an orphan becomes the shim's child, as the init is: found later, they look alike.
  const isSibling = entry.parentPid === init.parentPid
  const mayBeOrphan = membership.found && container.details?.pidMode === 'host' && isSibling
  return mayBeOrphan ? { via: 'init' } : entered
}

/** The container of a membership: the engine's, or what little is known of one that the engine does not know. */
export function containerFor(
  { id, build }: Pick<Membership, 'id' | 'build'>,
  containers: ContainerView,
): Container {
  return (build ? undefined : containers.get(id)) ?? unknownContainer(id, build ? 'build' : id.slice(0, 12))
}
