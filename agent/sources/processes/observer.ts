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
import { containerWaitQueue } from './container-wait-queue.ts'
import { hostFilesCheck } from './attribution/host-files.ts'
import type { KnownProcess, Membership, PriorState } from './table/known-process.ts'
import type { Memberships } from './attribution/membership.ts'
import { executableOrigin } from './credentials/executable-origin.ts'
import { credentialTracker, priorStateOf } from './credentials/credential-tracker.ts'
import { postExecRecheck } from './post-exec-recheck.ts'
import type { ProcessTable } from './table/table.ts'
import type { UidMaps } from '../../linux/uid-map.ts'

/** Turns the activity of container processes into observations. Times in milliseconds since boot. */
export type ProcessObserver = {
  observe(
    subject: KnownProcess,
    membership: Membership,
    change: ProcessChange,
    sinceBoot: number,
    details: ChangeDetails,
  ): void
  /** Describes a killed process by its last known state. */
  killed(process: KnownProcess, membership: Membership, sinceBoot: number): ProcessKilled
  /** Describes a usermode helper started by the kernel; the caller adds its file. */
  helper(process: KnownProcess, sinceBoot: number): Pick<UsermodeHelper, 'kind' | 'time' | 'process'>
  /** Converts to epoch milliseconds. */
  timeOf(sinceBoot: number): number
  /** Call once per second: picks up wall clock changes and ends waits that timed out. */
  everySecond(): void
  close(): void
}

/** The state before a change (the parent's for a new process), and whether the change was seen as it happened. */
export type ChangeDetails = { prior: PriorState | undefined; isExact: boolean }

export type ObserverOptions = {
  procRoot: string
  table: ProcessTable
  membershipResolver: Memberships
  containers: ContainerLookup
  hostNamespaces: Namespaces
  uidMaps: UidMaps
  clock: BootClock
  /** Epoch milliseconds. */
  bootTime: number
  users: HostUsers
  emit: (observation: ProcessObservation) => void
}

/** Describes a process immediately, and emits the observation once the engine has described the container. */
export function processObserver(options: ObserverOptions): ProcessObserver {
  const {
    procRoot,
    table,
    membershipResolver,
    containers,
    hostNamespaces,
    uidMaps,
    clock,
    bootTime,
    users,
    emit,
  } = options
  const hostFilesOf = hostFilesCheck(procRoot, hostNamespaces)
  // A program may change its root without another exec.
  const recheck = postExecRecheck((subject) => {
    const { membership } = subject
    if (membership === null || hostFilesOf.now(subject, membership) === null) return
    observe(subject, membership, 'found', clock.sinceBoot(), { prior: priorStateOf(subject), isExact: false })
  })
  const originOfExecutable = executableOrigin({ procRoot, now: () => clock.sinceBoot() })
  const trackCredentials = credentialTracker({
    ...{ uidMaps, hostNamespaces, containers, executableOrigin: originOfExecutable },
    rootDevice: membershipResolver.rootDevice,
  })
  const waiting = containerWaitQueue<Pending>({
    // The name alone is not enough: detectors use the container's configuration.
    isKnown: (_id, { membership, subject }) =>
      Boolean(membershipResolver.container(membership, subject)?.details),
    release: publish,
    isPending: (id) => containers.isPending(id),
    now: () => clock.sinceBoot(),
  })
  // Read once per second, not per event: the wall clock is seldom set.
  let epochOffset = clock.epochOffset()
  let releaseTimer: NodeJS.Timeout | undefined

  function observe(
    subject: KnownProcess,
    membership: Membership,
    change: ProcessChange,
    sinceBoot: number,
    { prior, isExact }: ChangeDetails,
  ): void {
    uidMaps.learn(subject.namespaces.user, subject.pid)
    const process = describeProcess(subject, bootTime, uidMaps, membership.userNamespace)
    const hasHostMounts = subject.namespaces.mount === hostNamespaces.mount
    const readsDirectory = !isExact && change !== 'ids-changed' && !hasHostMounts
    // A process that entered with chroot(2) works in the container's mounts, not its own namespace's: no escape.
    if (hasHostMounts) delete process.workingDirectoryOutside
    else if (readsDirectory && worksOutside(procRoot, subject.pid)) process.workingDirectoryOutside = true
    const credentials = trackCredentials(subject, membership, process, {
      change,
      prior: prior ?? null,
      isExact,
    })
    const isExecNow = change === 'executed' && isExact
    const hostFiles = isExecNow
      ? hostFilesOf.atExec(subject, membership)
      : hostFilesOf.now(subject, membership)
    if (hostFiles !== null) recheck.remove(subject)
    else if (isExecNow) recheck.add(subject)
    // Its ancestors may have exited by the time it is reported.
    const lineage = hostFiles === null ? {} : { lineage: lineageOf(subject, { table, procRoot, users }) }
    const seen = { change, process, hostFiles, ...lineage, ...credentials }
    const pending = { time: timeOf(sinceBoot), subject, membership, seen }
    if (membership.build || !waiting.hold(membership.id, pending)) publish(pending)
    else releaseTimer ??= setTimeout(releaseWaiting, releaseMs)
  }

  function publish({ time, subject, membership, seen }: Pending): void {
    membershipResolver.container(membership, subject)
    const container: Container = containerFor(membership, containers)
    const origin = originOf(membership, container, table, bootTime)
    emit({ kind: 'process', time, container, origin, ...seen })
  }

  function killed(process: KnownProcess, membership: Membership, sinceBoot: number): ProcessKilled {
    const { pid, startTicks } = process
    membershipResolver.container(membership, process)
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
    // Also drops queues that timed out.
    waiting.release()
  }

  function releaseWaiting(): void {
    waiting.release()
    releaseTimer = waiting.size > 0 ? setTimeout(releaseWaiting, releaseMs) : undefined
  }

  function close(): void {
    clearTimeout(releaseTimer)
    recheck.close()
  }

  return { observe, killed, helper, timeOf, everySecond, close }
}

// The longest delay of an observation after the engine has described its container.
const releaseMs = 10

/** Described immediately, because the process keeps changing; the container is resolved when it is known. */
type Pending = {
  time: number
  subject: KnownProcess
  membership: Membership
  seen: Omit<ProcessObservation, 'kind' | 'time' | 'container' | 'origin'>
}
