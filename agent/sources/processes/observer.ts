import type { HostUsers } from '../../linux/host-users.ts'
import type { BootClock } from '../../linux/boot-clock.ts'
import type { Container, ContainerLookup } from '../../model/container.ts'
import type {
  Namespaces,
  ProcessChange,
  ProcessKilled,
  ProcessObservation,
  UsermodeHelper,
} from '../../model/observation.ts'
import { containerFor, describeProcess, originOf } from './table/describe.ts'
import { lineageOf } from './attribution/entry-ancestry.ts'
import { worksOutside } from './attribution/foreign-directory.ts'
import { held } from './container-wait-queue.ts'
import { hostFilesCheck } from './attribution/host-files.ts'
import type { KnownProcess, Membership, Earlier } from './table/known-process.ts'
import type { Memberships } from './attribution/membership.ts'
import { provenance } from './credentials/executable-origin.ts'
import { earlierOf, rightsWatch } from './credentials/credential-tracker.ts'
import { secondLook } from './post-exec-recheck.ts'
import type { ProcessTable } from './table/table.ts'
import type { UidMaps } from '../../linux/uid-map.ts'

/** Makes observations of what the processes of containers do. Times in milliseconds since boot. */
export type ProcessTeller = {
  tell(
    subject: KnownProcess,
    membership: Membership,
    change: ProcessChange,
    sinceBoot: number,
    before: Before,
  ): void
  /** One that was killed, as it was last. */
  killed(process: KnownProcess, membership: Membership, sinceBoot: number): ProcessKilled
  /** One that the kernel started by itself; its file is for others to tell. */
  helper(process: KnownProcess, sinceBoot: number): Pick<UsermodeHelper, 'kind' | 'time' | 'process'>
  /** The same moment in epoch milliseconds. */
  timeOf(sinceBoot: number): number
  /** To be called once in a second: the wall clock may have been set, and nobody is waited for for ever. */
  everySecond(): void
  close(): void
}

/** What a process was before a change, or its parent where it is new; and whether the change was seen as it happened. */
export type Before = { earlier: Earlier | undefined; isExact: boolean }

export type TellerOptions = {
  procRoot: string
  table: ProcessTable
  belonging: Memberships
  containers: ContainerLookup
  hostNamespaces: Namespaces
  uidMaps: UidMaps
  clock: BootClock
  /** Epoch milliseconds. */
  bootTime: number
  users: HostUsers
  emit: (observation: ProcessObservation) => void
}

/** Describes a process at once, and lets the observation go when the engine has told which container it is in. */
export function processTeller(options: TellerOptions): ProcessTeller {
  const { procRoot, table, belonging, containers, hostNamespaces, uidMaps, clock, bootTime, users, emit } =
    options
  const hostFilesOf = hostFilesCheck(procRoot, hostNamespaces)
  // A program may change its root by itself and run no other.
  const later = secondLook((subject) => {
    const { membership } = subject
    if (membership === null || hostFilesOf.now(subject, membership) === null) return
    tell(subject, membership, 'found', clock.sinceBoot(), { earlier: earlierOf(subject), isExact: false })
  })
  const files = provenance({ procRoot, now: () => clock.sinceBoot() })
  const rightsOf = rightsWatch({
    ...{ uidMaps, hostNamespaces, containers, provenance: files },
    rootDevice: belonging.rootDevice,
  })
  const waiting = held<Pending>({
    // Not only its name: detectors judge by how the container is configured.
    isKnown: (_id, { membership, subject }) => Boolean(belonging.container(membership, subject)?.details),
    release: publish,
    isPending: (id) => containers.isPending(id),
    now: () => clock.sinceBoot(),
  })
  // Asked once in a second, not for every event: the wall clock is seldom set.
  let epochOffset = clock.epochOffset()
  let heldTimer: NodeJS.Timeout | undefined

  function tell(
    subject: KnownProcess,
    membership: Membership,
    change: ProcessChange,
    sinceBoot: number,
    { earlier, isExact }: Before,
  ): void {
    uidMaps.learn(subject.namespaces.user, subject.pid)
    const process = describeProcess(subject, bootTime, uidMaps, membership.userNamespace)
    const hasHostMounts = subject.namespaces.mount === hostNamespaces.mount
    const isLookedAt = !isExact && change !== 'ids-changed' && !hasHostMounts
    // Whoever came by chroot(2) works in mounts that are the container's and not his own: he has not got out.
    if (hasHostMounts) delete process.workingDirectoryOutside
    else if (isLookedAt && worksOutside(procRoot, subject.pid)) process.workingDirectoryOutside = true
    const rights = rightsOf(subject, membership, process, { change, earlier: earlier ?? null, isExact })
    const isFresh = change === 'executed' && isExact
    const hostFiles = isFresh ? hostFilesOf.atExec(subject, membership) : hostFilesOf.now(subject, membership)
    if (hostFiles !== null) later.remove(subject)
    else if (isFresh) later.add(subject)
    // Those who brought it there may be gone by the time it is told.
    const lineage = hostFiles === null ? {} : { lineage: lineageOf(subject, { table, procRoot, users }) }
    const seen = { change, process, hostFiles, ...lineage, ...rights }
    const pending = { time: timeOf(sinceBoot), subject, membership, seen }
    if (membership.build || !waiting.hold(membership.id, pending)) publish(pending)
    else heldTimer ??= setTimeout(releaseHeld, heldMs)
  }

  function publish({ time, subject, membership, seen }: Pending): void {
    belonging.container(membership, subject)
    const container: Container = containerFor(membership, containers)
    const origin = originOf(membership, container, table, bootTime)
    emit({ kind: 'process', time, container, origin, ...seen })
  }

  function killed(process: KnownProcess, membership: Membership, sinceBoot: number): ProcessKilled {
    const { pid, startTicks } = process
    belonging.container(membership, process)
    const { exe, argv } = process.program()
    const container = containerFor(membership, containers)
    return {
      kind: 'process-killed',
      time: timeOf(sinceBoot),
      container,
      process: { pid, startTicks, exe, argv },
    }
  }

  function helper(process: KnownProcess, sinceBoot: number) {
    const described = describeProcess(process, bootTime, uidMaps)
    return { kind: 'usermode-helper', time: timeOf(sinceBoot), process: described } as const
  }

  function timeOf(sinceBoot: number): number {
    return sinceBoot + epochOffset
  }

  function everySecond(): void {
    epochOffset = clock.epochOffset()
    // Also forgets what it waited for in vain.
    waiting.release()
  }

  function releaseHeld(): void {
    waiting.release()
    heldTimer = waiting.size > 0 ? setTimeout(releaseHeld, heldMs) : undefined
  }

  function close(): void {
    clearTimeout(heldTimer)
    later.close()
  }

  return { tell, killed, helper, timeOf, everySecond, close }
}

// How late an observation may be after the engine has named its container.
const heldMs = 10

/** Described at once, because the process goes on to change; named and judged when its container is known. */
type Pending = {
  time: number
  subject: KnownProcess
  membership: Membership
  seen: Omit<ProcessObservation, 'kind' | 'time' | 'container' | 'origin'>
}
