import type { HostUsers } from '../../../linux/host-users.ts'
import type { Container, ContainerView } from '../../../model/container.ts'
import type { Namespaces } from '../../../model/observation.ts'
import { containerOf } from './cgroup.ts'
import { layers } from './layers.ts'
import { broughtBy } from './entry-ancestry.ts'
import type { KnownProcess, Membership } from '../table/known-process.ts'
import { leftBehind } from './session-attribution.ts'
import { readRoot } from './root-device.ts'
import { isStartHook } from './start-hook.ts'
import type { ProcessTable } from '../table/table.ts'
import type { ContainerRoots } from './usermode-helper.ts'
import type { ExecOfSession } from '../../../model/exec-view.ts'

/** Decides which container a process belongs to. */
export type Memberships = {
  /** For a process whose cgroup or namespaces became known; what it inherited stays when they name nothing. */
  of(process: KnownProcess, how: How): Membership | null
  /** Forgets a container's namespaces with its first process: their numbers will be used again. */
  ended(process: KnownProcess): void
  /** What the engine knows of the container; corrects the membership when it knows an inner one only. */
  container(membership: Membership, process: KnownProcess): Container | undefined
  roots: ContainerRoots
  /** Superblock of the root of a member's container; 0 where unknown. */
  rootDevice(membership: Membership): number
}

/** Whether the process was found in /proc or seen to run its program, and what it ran before, if that is known. */
export type How = { found: boolean; former: KnownProcess['program'] | null }

export type MembershipsOptions = {
  procRoot: string
  table: ProcessTable
  containers: ContainerView
  hostNamespaces: Namespaces
  users: HostUsers
  execOfSession?: ExecOfSession | undefined
}

/**
 * A process is in a container by its cgroup, or because its maker was, or by a namespace of the container's first
 * process, or because the program it runs lies in that one's root: `nsenter` keeps the cgroup of the host, `chroot`
 * the namespaces too, and a process with enough rights can leave its own.
 */
export function memberships({
  procRoot,
  table,
  containers,
  hostNamespaces,
  users,
  execOfSession = () => null,
}: MembershipsOptions): Memberships {
  // The first process of each container, by container id.
  const inits = new Map<string, KnownProcess>()
  const rootDevices = new Map<string, number>()
  const byNamespace = new Map<number, Membership>()
  const byRootDevice = new Map<number, Membership>()
  const byLayer = layers<Membership>()
  // A mode that takes over from another finds the table as that one left it.
  for (const process of table.living()) {
    const { membership, pid } = process
    if (membership?.first === true && membership.entry.pid === pid) remember(process, membership)
  }

  function of(process: KnownProcess, how: How): Membership | null {
    const membership = decide(process, how)
    if (membership === null || !how.found) return membership
    const known = containers.get(membership.id)
    return leftBehind(process, membership, known, { procRoot, execOfSession }) ?? membership
  }

  function decide(process: KnownProcess, how: How): Membership | null {
    const inherited = process.membership
    const { mount, pid } = process.namespaces
    const ofMounts = byNamespace.get(mount)
    // Another container's mounts are shared with nobody: it went from one into the other.
    if (inherited !== null && ofMounts !== undefined && ofMounts.id !== inherited.id) {
      return membershipOf(process, ofMounts, false, how)
    }
    const named = namedByCgroup(process)
    if (named !== undefined) {
      if (inherited?.id === named.id) return inherited
      // The runtime joins the cgroup first and the namespaces after: until then it is the host's program.
      return mount === hostNamespaces.mount ? inherited : enter(process, named, how)
    }
    if (inherited !== null) return inherited
    const owner = ofMounts ?? byNamespace.get(pid) ?? byRootDevice.get(process.exeDevice)
    return owner === undefined ? null : membershipOf(process, owner, false, how)
  }

  function namedByCgroup({ cgroup }: KnownProcess): Named | undefined {
    const id = containerOf(cgroup, containers)?.id ?? cgroup.ids[0]
    if (id !== undefined) return { id, build: false }
    return cgroup.build === '' ? undefined : { id: cgroup.build, build: true }
  }

  function enter(process: KnownProcess, named: Named, how: How): Membership | null {
    const last = inits.get(named.id)
    // Its end may have been noticed only by the table, when its pid was used again.
    const init = last?.exit === null ? last : undefined
    // Containers may share a pid namespace: an orphan is then found as the child of the other's init.
    if (how.found && init !== undefined && init.membership !== null && hasInitOfOther(process)) {
      return init.membership
    }
    if (init === undefined && process.membership === null && isStartHook(process, table)) return null
    const membership = membershipOf(process, named, init === undefined, how)
    if (membership.first) remember(process, membership)
    return membership
  }

  function membershipOf(
    process: KnownProcess,
    { id, build }: Named,
    first: boolean,
    { found, former }: How,
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
      brought: broughtBy(process, former, id, { table, procRoot, users }),
    }
  }

  function remember(init: KnownProcess, membership: Membership): void {
    const root = readRoot(procRoot, init.pid)
    inits.set(membership.id, init)
    // As it was at its exec: it may have changed its root since.
    rootDevices.set(membership.id, init.rootDevice || (root.device ?? 0))
    if (root.device !== null) byRootDevice.set(root.device, membership)
    byLayer.add(root.upperDirectory, membership)
    own(init.namespaces.mount, hostNamespaces.mount, membership)
    own(init.namespaces.pid, hostNamespaces.pid, membership)
  }

  function hasInitOfOther({ parentPid, namespaces }: KnownProcess): boolean {
    const parent = table.get(parentPid)
    return parent?.membership?.first === true && parent.namespaces.pid === namespaces.pid
  }

  function own(namespace: number, hosts: number, membership: Membership): void {
    const isOwn = namespace !== 0 && namespace !== hosts
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
