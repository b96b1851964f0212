import {
  type Container,
  type ContainerView,
  containerOfId,
  unknownContainer,
} from '../../../model/container.ts'
import type { Process, ProcessOrigin } from '../../../model/observation.ts'
import type { KnownProcess, Membership, SeenProcess } from './known-process.ts'
import type { ProcessTable } from './table.ts'
import type { UidMaps } from '../../../linux/uid-map.ts'

/**
 * A process as observations contain it. Its start time is relative to `bootTime` (epoch milliseconds);
 * `userNamespace` is that of its container.
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

/** Epoch milliseconds; the same for a process in every mode. */
export function startTime({ startTicks }: Pick<KnownProcess, 'startTicks'>, bootTime: number): number {
  return Math.round(bootTime) + startTicks * 10
}

/** How a process entered its container, as far as known now. */
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
  // The engine's pid may be from the previous run: only a running init proves that another process is not the init.
  const init = table.get(initPid)
  if (init?.membership?.id !== membership.id) return membership.first ? { via: 'init' } : entered
  // In the host's pid namespace an orphan becomes a child of the shim, like the init: in /proc they look alike.
  const isSibling = entry.parentPid === init.parentPid
  const mayBeOrphan = membership.found && container.details?.pidMode === 'host' && isSibling
  return mayBeOrphan ? { via: 'init' } : entered
}

/** The container of a membership: as the engine describes it, or with its id only if the engine does not know it. */
export function containerFor(
  { id, build }: Pick<Membership, 'id' | 'build'>,
  containers: ContainerView,
): Container {
  return build ? unknownContainer(id, 'build') : (containers.get(id) ?? containerOfId(id))
}
