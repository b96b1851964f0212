import type { BootClock } from '../../linux/boot-clock.ts'
import type { HostUsers } from '../../linux/host-users.ts'
import type { UidMaps } from '../../linux/uid-map.ts'
import type { ContainerLookup } from '../../model/container.ts'
import type {
  Namespaces,
  ProcessChange,
  ProcessKilled,
  ProcessObservation,
  UsermodeHelper,
} from '../../model/observation.ts'
import { lineageOf } from './attribution/entry-ancestry.ts'
import { worksOutside } from './attribution/foreign-directory.ts'
import { hostFilesCheck } from './attribution/host-files.ts'
import type { Memberships } from './attribution/membership.ts'
import { credentialTracker, priorStateOf } from './credentials/credential-tracker.ts'
import { executableOrigin } from './credentials/executable-origin.ts'
import { type ChangeDetails, enrichment } from './enrichment.ts'
import { postExecRecheck } from './post-exec-recheck.ts'
import { publicationQueue } from './publication-queue.ts'
import { containerFor, describeProcess } from './table/describe.ts'
import type { KnownProcess, Membership } from './table/known-process.ts'
import type { ProcessTable } from './table/table.ts'

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

/** Describes each changed process immediately, and publishes it once the engine has described its container. */
export function processObserver(options: ObserverOptions): ProcessObserver {
  const { procRoot, table, membershipResolver, containers, hostNamespaces, uidMaps, clock, bootTime, users } =
    options
  const hostFiles = hostFilesCheck(procRoot, hostNamespaces)
  // A program may change its root without another exec.
  const recheck = postExecRecheck((subject) => {
    const { membership } = subject
    if (membership === null || hostFiles.now(subject, membership) === null) return
    observe(subject, membership, 'found', clock.sinceBoot(), { prior: priorStateOf(subject), isExact: false })
  })
  const enrich = enrichment({
    ...{ hostNamespaces, uidMaps, bootTime, hostFiles, recheck },
    worksOutside: (pid) => worksOutside(procRoot, pid),
    trackCredentials: credentialTracker({
      ...{ uidMaps, hostNamespaces, containers },
      executableOrigin: executableOrigin({ procRoot, now: () => clock.sinceBoot() }),
      rootDevice: membershipResolver.rootDevice,
    }),
    lineageOf: (subject) => lineageOf(subject, { table, procRoot, users }),
  })
  const publications = publicationQueue({ ...options, now: () => clock.sinceBoot() })
  // Read once per second, not per event: the wall clock is seldom set.
  let epochOffset = clock.epochOffset()

  function observe(
    subject: KnownProcess,
    membership: Membership,
    change: ProcessChange,
    sinceBoot: number,
    details: ChangeDetails,
  ): void {
    const seen = enrich(subject, membership, change, details)
    const began = details.isNew === true ? { since: seen.process.startedAt } : {}
    publications.add({ time: timeOf(sinceBoot), subject, membership, seen: { ...seen, ...began } })
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
    publications.everySecond()
  }

  function close(): void {
    publications.close()
    recheck.close()
  }

  return { observe, killed, helper, timeOf, everySecond, close }
}
