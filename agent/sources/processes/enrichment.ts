import type { UidMaps } from '../../linux/uid-map.ts'
import type {
  EnteringProcess,
  Namespaces,
  ProcessChange,
  ProcessObservation,
} from '../../model/observation.ts'
import type { HostFilesCheck } from './attribution/host-files.ts'
import type { credentialTracker } from './credentials/credential-tracker.ts'
import type { PostExecRecheck } from './post-exec-recheck.ts'
import { describeProcess } from './table/describe.ts'
import type { KnownProcess, Membership, PriorState } from './table/known-process.ts'

/** What an observation says about the process itself, apart from its container. */
export type EnrichedProcess = Omit<ProcessObservation, 'kind' | 'time' | 'container' | 'origin'>

/** The state before a change (the parent's for a new process), and whether the change was seen as it happened. */
export type ChangeDetails = {
  prior: PriorState | undefined
  isExact: boolean
  /** The process itself was found, some time after its start. */
  isNew?: boolean
}

/** Describes a process immediately after a change, because it keeps changing and may exit. */
export type Enrichment = (
  subject: KnownProcess,
  membership: Membership,
  change: ProcessChange,
  details: ChangeDetails,
) => EnrichedProcess

export type EnrichmentOptions = {
  hostNamespaces: Pick<Namespaces, 'mount'>
  uidMaps: UidMaps
  /** Epoch milliseconds. */
  bootTime: number
  /** Whether a process's working directory is on a mount of the host and on none of its own. */
  worksOutside: (pid: number) => boolean
  trackCredentials: ReturnType<typeof credentialTracker>
  hostFiles: HostFilesCheck
  lineageOf: (process: KnownProcess) => EnteringProcess[]
  recheck: Pick<PostExecRecheck, 'add' | 'remove'>
}

/** Decides what has to be read about a process after which change. */
export function enrichment({
  hostNamespaces,
  uidMaps,
  bootTime,
  worksOutside,
  trackCredentials,
  hostFiles: hostFilesOf,
  lineageOf,
  recheck,
}: EnrichmentOptions): Enrichment {
  return function enrich(subject, membership, change, { prior, isExact }) {
    uidMaps.learn(subject.namespaces.user, subject.pid)
    const process = describeProcess(subject, bootTime, uidMaps, membership.userNamespace)
    const hasHostMounts = subject.namespaces.mount === hostNamespaces.mount
    // At an exec that is seen as it happens, the kernel program has checked the directory.
    const readsDirectory = !isExact && change !== 'ids-changed' && !hasHostMounts
    // A process that entered with chroot(2) works in the container's mounts, not its own namespace's: no escape.
    if (hasHostMounts) delete process.workingDirectoryOutside
    else if (readsDirectory && worksOutside(subject.pid)) process.workingDirectoryOutside = true
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
    const lineage = hostFiles === null ? {} : { lineage: lineageOf(subject) }
    return { change, process, hostFiles, ...lineage, ...credentials }
  }
}
