import type { Container } from '../../../model/container.ts'
import type { DockerEvent, ExecObservation } from '../../../model/observation.ts'
import { textsOf } from '../../../lib/json-object.ts'
import type { CallQueue } from '../client/call-queue.ts'
import type { DockerClient } from '../client/client.ts'
import { containerOfEvent } from '../inventory/identity.ts'
import type { ExecLifecycle } from './exec-lifecycle.ts'
import { observationOf } from './exec-observation.ts'
import type { EngineExec, TrackedExecs } from './tracked-execs.ts'
import { createUnidentifiedStarts, isStartOf } from './unidentified-starts.ts'

export type UnidentifiedExecsOptions = {
  client: Pick<DockerClient, 'inspectContainer'>
  calls: CallQueue
  tracked: Pick<TrackedExecs, 'openIn'>
  lifecycle: Pick<ExecLifecycle, 'startedUnidentified' | 'check'>
  containerOf: (id: string) => Container | undefined
  /** Starts to track an exec that the engine lists. */
  track: (execId: string, container: Container) => void
  emit: (observation: ExecObservation) => void
  lose: (reason: string) => void
  /** Epoch milliseconds. */
  now: () => number
}

/**
 * Handles exec events without a usable exec id: an image label named `execID` replaces the engine's own attribute, and
 * Podman sends none. The container's list of execs contains the id, and the command shows which of them the start
 * belongs to.
 */
export type UnidentifiedExecs = {
  onEvent(event: DockerEvent, container: Container): void
  /** An exec was inspected: one of the waiting starts may be its own. */
  onInspected(exec: EngineExec): void
  /** Reports starts that no listed exec matched in time. */
  reportOverdue(): void
}

export function createUnidentifiedExecs({
  client,
  calls,
  tracked,
  lifecycle,
  containerOf,
  track,
  emit,
  lose,
  now,
}: UnidentifiedExecsOptions): UnidentifiedExecs {
  const starts = createUnidentifiedStarts(reportWithoutId)

  function reportWithoutId(event: DockerEvent): void {
    const container = containerOf(event.actorId) ?? containerOfEvent(event)
    emit(observationOf('', container, event.time, null, event.detail))
  }

  function listExecs(container: Container): void {
    const taken = calls.call(
      () => client.inspectContainer(container.id),
      (result) => textsOf(result?.['ExecIDs']).forEach((id) => track(id, container)),
    )
    if (!taken) lose('queue-full')
  }

  return {
    onEvent(event, container) {
      // Any of the container's execs may have ended.
      if (event.action === 'exec_die') {
        for (const exec of tracked.openIn(container.id)) if (exec.reported) lifecycle.check(exec, event.time)
        return
      }
      listExecs(container)
      if (event.action !== 'exec_start') return
      const exec = tracked
        .openIn(container.id)
        .find((open) => open.startedAt === null && isStartOf(event, open))
      if (exec === undefined) starts.add(event, now())
      else lifecycle.startedUnidentified(exec, event)
    },
    onInspected(exec) {
      const start = exec.startedAt === null ? starts.take(exec) : undefined
      if (start !== undefined) lifecycle.startedUnidentified(exec, start)
    },
    reportOverdue() {
      starts.reportOverdue(now() - listingWaitMs)
    },
  }
}

// The engine delays the list of a container's execs while the runtime starts one of them: 1.3 s in a container with a
// hundredth of a core. A little longer than the client's timeout.
const listingWaitMs = 12_000
