import type { Container, ContainerView } from '../model/container.ts'
import type { Namespaces } from '../model/observation.ts'
import { containerOf } from './cgroup.ts'
import type { KnownProcess, Membership } from './known-process.ts'
import type { ProcessTable } from './table.ts'

/** Decides which container a process belongs to. */
export type Memberships = {
  /** For a process whose cgroup or namespaces became known; what it inherited stays when they name nothing. */
  of(process: KnownProcess, how: { found: boolean }): Membership | null
  /** Forgets a container's namespaces with its first process: their numbers will be used again. */
  ended(process: KnownProcess): void
  /** What the engine knows of the container; corrects the membership when it knows an inner one only. */
  container(membership: Membership, process: KnownProcess): Container | undefined
}

/**
 * A process is in a container by its cgroup, or because its maker was, or by a namespace of the container's
 * first process: `nsenter` keeps the cgroup of the host, and a process with enough rights can leave its own.
 */
export function memberships(
  table: ProcessTable,
  containers: ContainerView,
  hostNamespaces: Namespaces,
): Memberships {
  // The first process of each container, by container id.
  const inits = new Map<string, KnownProcess>()
  const byNamespace = new Map<number, Membership>()
  // A mode that takes over from another finds the table as that one left it.
  for (const process of table.living()) {
    const { membership, pid } = process
    if (membership?.first === true && membership.entry.pid === pid) remember(process, membership)
  }

  function of(process: KnownProcess, { found }: { found: boolean }): Membership | null {
    const inherited = process.membership
    const named = namedByCgroup(process)
    if (named !== undefined) {
      if (inherited?.id === named.id) return inherited
      // The runtime joins the cgroup first and the namespaces after: until then it is the host's program.
      const isOfHost = process.namespaces.mount === hostNamespaces.mount
      return isOfHost ? inherited : enter(process, named, found)
    }
    if (inherited !== null) return inherited
    const owner = byNamespace.get(process.namespaces.mount) ?? byNamespace.get(process.namespaces.pid)
    if (owner === undefined) return null
    return { ...owner, entry: entryOf(process), first: false, found }
  }

  function namedByCgroup({ cgroup }: KnownProcess): { id: string; build: boolean } | undefined {
    const id = containerOf(cgroup, containers)?.id ?? cgroup.ids[0]
    if (id !== undefined) return { id, build: false }
    return cgroup.build === '' ? undefined : { id: cgroup.build, build: true }
  }

  function enter(process: KnownProcess, named: { id: string; build: boolean }, found: boolean): Membership {
    const last = inits.get(named.id)
    // Its end may have been noticed only by the table, when its pid was used again.
    const init = last?.exit === null ? last : undefined
    // Containers may share a pid namespace: an orphan is then found as the child of the other's init.
    if (found && init !== undefined && init.membership !== null && hasInitOfOther(process)) {
      return init.membership
    }
    const membership = { ...named, entry: entryOf(process), first: init === undefined, found }
    if (membership.first) remember(process, membership)
    return membership
  }

  function remember(init: KnownProcess, membership: Membership): void {
    inits.set(membership.id, init)
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
    for (const [id, init] of inits) if (init === process) inits.delete(id)
    for (const [namespace, { entry }] of byNamespace) {
      if (entry.pid === process.pid && entry.startTicks === process.startTicks) byNamespace.delete(namespace)
    }
  }

  function container(membership: Membership, process: KnownProcess): Container | undefined {
    if (membership.build) return undefined
    const known = containers.get(membership.id) ?? containerOf(process.cgroup, containers)
    if (known !== undefined) membership.id = known.id
    return known
  }

  return { of, ended, container }
}

function entryOf({ pid, startTicks, parentPid }: KnownProcess): Membership['entry'] {
  return { pid, startTicks, parentPid }
}
