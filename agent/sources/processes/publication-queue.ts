import type { ContainerLookup } from '../../model/container.ts'
import type { ProcessObservation } from '../../model/observation.ts'
import type { Memberships } from './attribution/membership.ts'
import { containerWaitQueue } from './container-wait-queue.ts'
import type { EnrichedProcess } from './enrichment.ts'
import { containerFor, originOf } from './table/describe.ts'
import type { KnownProcess, Membership } from './table/known-process.ts'
import type { ProcessTable } from './table/table.ts'

/** Publishes described processes once the engine has described their container, without which they are useless. */
export type PublicationQueue = {
  /** Publishes the process immediately if its container is known, or if waiting for it is pointless. */
  add(described: DescribedProcess): void
  /** Call once per second: ends waits that timed out. */
  everySecond(): void
  /** Stops its timer. */
  close(): void
}

/** A process as described when it changed; `time` in epoch milliseconds. */
export type DescribedProcess = {
  time: number
  subject: KnownProcess
  membership: Membership
  seen: EnrichedProcess
}

export type PublicationQueueOptions = {
  table: ProcessTable
  membershipResolver: Pick<Memberships, 'container'>
  containers: ContainerLookup
  /** Epoch milliseconds. */
  bootTime: number
  /** Monotonic milliseconds. */
  now: () => number
  emit: (observation: ProcessObservation) => void
}

/** Resolves container and origin when a process is published, because the engine's answer may correct both. */
export function publicationQueue({
  table,
  membershipResolver,
  containers,
  bootTime,
  now,
  emit,
}: PublicationQueueOptions): PublicationQueue {
  const waiting = containerWaitQueue<DescribedProcess>({
    // The name alone is not enough: detectors use the container's configuration.
    isKnown: (_id, { membership, subject }) =>
      Boolean(membershipResolver.container(membership, subject)?.details),
    isNamed: (id) => containers.get(id) !== undefined,
    release: publish,
    isPending: (id) => containers.isPending(id),
    now,
  })
  let releaseTimer: NodeJS.Timeout | undefined

  function add(described: DescribedProcess): void {
    const { membership } = described
    if (membership.build || !waiting.hold(membership.id, described)) publish(described)
    else releaseTimer ??= setTimeout(releaseWaiting, releaseMs)
  }

  function publish({ time, subject, membership, seen }: DescribedProcess): void {
    membershipResolver.container(membership, subject)
    const container = containerFor(membership, containers)
    const origin = originOf(membership, container, table, bootTime)
    emit({ kind: 'process', time, container, origin, ...seen })
  }

  function releaseWaiting(): void {
    waiting.release()
    releaseTimer = waiting.size > 0 ? setTimeout(releaseWaiting, releaseMs) : undefined
  }

  return {
    add,
    // The timer does not run while nothing waits; containers whose wait timed out are forgotten here.
    everySecond: () => waiting.release(),
    close: () => clearTimeout(releaseTimer),
  }
}

// The longest delay of an observation after the engine has described its container.
const releaseMs = 10
