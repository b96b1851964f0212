import type { HostUsers } from '../../../linux/host-users.ts'
import type { Container, ContainerView } from '../../../model/container.ts'
import type { Namespaces } from '../../../model/observation.ts'
import { containerOf } from './cgroup.ts'
import { layers } from './layers.ts'
import { entryAncestry } from './entry-ancestry.ts'
import type { KnownProcess, Membership } from '../table/known-process.ts'
import { sessionMembership } from './session-attribution.ts'
import { readRoot } from './root-device.ts'
import { isStartHook } from './start-hook.ts'
import type { ProcessTable } from '../table/table.ts'
import type { ContainerRoots } from './usermode-helper.ts'
import type { ExecOfSession } from '../../../model/exec-view.ts'

/** Decides which container a process belongs to. */
export type Memberships = {
  /**
   * For a process whose cgroup or namespaces became known; if they identify no container, it keeps what it inherited.
   */
  of(process: KnownProcess, sighting: Sighting): Membership | null
  /** Forgets a container's namespaces when its init exits: the kernel reuses their numbers. */
  ended(process: KnownProcess): void
  /** The engine's container; corrects the membership if the engine knows only a nested container. */
  container(membership: Membership, process: KnownProcess): Container | undefined
  roots: ContainerRoots
  /** Superblock of the container's root; 0 where unknown. */
  rootDevice(membership: Membership): number
}

/** Whether the process was found in /proc or seen at its exec, and the program it ran before, if known. */
export type Sighting = { found: boolean; former: KnownProcess['program'] | null }

export type MembershipsOptions = {
  procRoot: string
  table: ProcessTable
  containers: ContainerView
  hostNamespaces: Namespaces
  users: HostUsers
  execOfSession?: ExecOfSession | undefined
}

/**
 * A process belongs to a container by its cgroup, by its creator's membership, by a namespace it shares with the
 * container's init, or because its executable is on that init's root: `nsenter` keeps the host's cgroup, `chroot` the
 * host's namespaces too, and a sufficiently privileged process can leave its own cgroup and namespaces.
 */
export function memberships({
  procRoot,
  table,
  containers,
  hostNamespaces,
  users,
  execOfSession = () => null,
}: MembershipsOptions): Memberships {
  // The init process of each container, by container id.
  const inits = new Map<string, KnownProcess>()
  const rootDevices = new Map<string, number>()
  const byNamespace = new Map<number, Membership>()
  const byRootDevice = new Map<number, Membership>()
  const byLayer = layers<Membership>()
  // A mode that replaces another starts with the table that the other one filled.
  for (const process of table.living()) {
    const { membership, pid } = process
    if (membership?.first === true && membership.entry.pid === pid) addInit(process, membership)
  }

  function of(process: KnownProcess, sighting: Sighting): Membership | null {
    const membership = decide(process, sighting)
    if (membership === null || !sighting.found) return membership
    const known = containers.get(membership.id)
    return sessionMembership(process, membership, known, { procRoot, execOfSession }) ?? membership
  }

  function decide(process: KnownProcess, sighting: Sighting): Membership | null {
    const inherited = process.membership
    const { mount, pid } = process.namespaces
    const ofMounts = byNamespace.get(mount)
    // Containers do not share mount namespaces, so the process has moved from one container into the other.
    if (inherited !== null && ofMounts !== undefined && ofMounts.id !== inherited.id) {
      return membershipOf(process, ofMounts, false, sighting)
    }
    const named = namedByCgroup(process)
    if (named !== undefined) {
      if (inherited?.id === named.id) return inherited
      // The runtime joins the cgroup before the namespaces: until then it is a host process.
      return mount === hostNamespaces.mount ? inherited : enter(process, named, sighting)
    }
    if (inherited !== null) return inherited
    const owner = ofMounts ?? byNamespace.get(pid) ?? byRootDevice.get(process.exeDevice)
    return owner === undefined ? null : membershipOf(process, owner, false, sighting)
  }

  function namedByCgroup({ cgroup }: KnownProcess): Named | undefined {
    const id = containerOf(cgroup, containers)?.id ?? cgroup.ids[0]
    if (id !== undefined) return { id, build: false }
    return cgroup.build === '' ? undefined : { id: cgroup.build, build: true }
  }

  function enter(process: KnownProcess, named: Named, sighting: Sighting): Membership | null {
    const last = inits.get(named.id)
    // If its exit was missed, only the table knows, since its pid was reused.
    const init = last?.exit === null ? last : undefined
    // Containers may share a pid namespace: an orphan is then a child of the other container's init.
    if (sighting.found && init !== undefined && init.membership !== null && hasInitOfOther(process)) {
      return init.membership
    }
    if (init === undefined && process.membership === null && isStartHook(process, table)) return null
    const membership = membershipOf(process, named, init === undefined, sighting)
    if (membership.first) addInit(process, membership)
    return membership
  }

  function membershipOf(
    process: KnownProcess,
    { id, build }: Named,
    first: boolean,
    { found, former }: Sighting,
  ): Membership {
    const { pid, startTicks, parentPid, namespaces } = process
    return {
      id,
      build,
      entry: { pid, startTicks, parentPid },
      first,
      userNamespace: (first ? null : inits.get(id)?.membership?.userNamespace) ?? namespaces.user,
      found,
      hadHostMounts: namespaces.mount === hostNamespaces.mount,
      brought: entryAncestry(process, former, id, { table, procRoot, users }),
    }
  }

  function addInit(init: KnownProcess, membership: Membership): void {
    const root = readRoot(procRoot, init.pid)
    inits.set(membership.id, init)
    // The root at its exec: it may have changed since.
    rootDevices.set(membership.id, init.rootDevice || (root.device ?? 0))
    if (root.device !== null) byRootDevice.set(root.device, membership)
    byLayer.add(root.upperDirectory, membership)
    claimNamespace(init.namespaces.mount, hostNamespaces.mount, membership)
    claimNamespace(init.namespaces.pid, hostNamespaces.pid, membership)
  }

  function hasInitOfOther({ parentPid, namespaces }: KnownProcess): boolean {
    const parent = table.get(parentPid)
    return parent?.membership?.first === true && parent.namespaces.pid === namespaces.pid
  }

  function claimNamespace(namespace: number, hostNamespace: number, membership: Membership): void {
    const isOwn = namespace !== 0 && namespace !== hostNamespace
    if (isOwn && !byNamespace.has(namespace)) byNamespace.set(namespace, membership)
  }

  function ended(process: KnownProcess): void {
    if (process.membership?.entry.pid !== process.pid) return
    for (const [id, init] of inits) {
      if (init !== process) continue
      inits.delete(id)
      rootDevices.delete(id)
    }
    byLayer.remove(process.membership)
    for (const owners of [byNamespace, byRootDevice]) {
      for (const [number, { entry }] of owners) {
        if (entry.pid === process.pid && entry.startTicks === process.startTicks) owners.delete(number)
      }
    }
  }

  function container(membership: Membership, process: KnownProcess): Container | undefined {
    if (membership.build) return undefined
    const known = containers.get(membership.id) ?? containerOf(process.cgroup, containers)
    if (known !== undefined) membership.id = known.id
    return known
  }

  const roots = { byDevice: (device: number) => byRootDevice.get(device), byLayer: byLayer.of }
  const rootDevice = ({ id }: Membership) => rootDevices.get(id) ?? 0
  return { of, ended, container, roots, rootDevice }
}

type Named = Pick<Membership, 'id' | 'build'>
