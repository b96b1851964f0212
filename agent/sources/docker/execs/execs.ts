import type { Container } from '../../../model/container.ts'
import type { DockerEvent, ExecEnded, ExecObservation } from '../../../model/observation.ts'
import type { CallQueue } from '../client/call-queue.ts'
import type { DockerClient } from '../client/client.ts'
import { containerOfEvent } from '../inventory/identity.ts'
import { isUp } from '../inventory/lifecycle.ts'
import { createInspectionWaitQueue } from './inspection-wait-queue.ts'
import { createInspectExec } from './exec-inspect.ts'
import { createExecLifecycle, type StartOfProcess } from './exec-lifecycle.ts'
import { execIdOf } from './exec-observation.ts'
import { createNamedExecs, type NamedExec } from './named-execs.ts'
import { createSlicedRound } from './sliced-round.ts'
import { trackedExecs, type EngineExec, newEngineExec } from './tracked-execs.ts'
import { createUnidentifiedExecs } from './unidentified-execs.ts'

export type ExecTrackerOptions = {
  client: Pick<DockerClient, 'inspectContainer' | 'inspectExec'>
  calls: CallQueue
  containerOf: (id: string) => Container | undefined
  emit: (observation: ExecObservation | ExecEnded) => void
  lose: (reason: string) => void
  startOf: StartOfProcess
  /** Epoch milliseconds. */
  now: () => number
}

/** Finds each exec by its events, inspects, listings or process, and reports its start and its end once each. */
export type ExecTracker = {
  onEvent(event: DockerEvent): void
  /** A process was started by this exec, according to its runtime's command line. */
  onNamed(named: NamedExec): void
  /** Whether a process named this exec and neither an event nor an inspect has confirmed it yet. */
  isBeingInspected(execId: string): boolean
  /** Looks for execs whose start or end no event reported. */
  reconcile(container: Container): void
  /** A container changed: it may be known now, or it ended and its execs with it. */
  onContainer(container: Container): void
  /** Call it a few times a second: it ends waits that are overdue. True if it must be called again immediately. */
  tick(): boolean
}

export function createExecTracker({
  client,
  calls,
  containerOf,
  emit,
  lose,
  startOf,
  now,
}: ExecTrackerOptions): ExecTracker {
  const tracked = trackedExecs((evicted) => {
    if (evicted.startedAt !== null && !evicted.reported) lifecycle.report(evicted, evicted.startedAt)
    lose('queue-full')
  })
  const inspect = createInspectExec({ client, calls, lose })
  const lifecycle = createExecLifecycle({ tracked, inspect, containerOf, emit, startOf, now })
  const unidentified = createUnidentifiedExecs({
    client,
    calls,
    tracked,
    lifecycle,
    containerOf,
    track: (id, container) => trackOnce(id, container, ''),
    emit,
    lose,
    now,
  })
  const named = createNamedExecs({ isKnown: isStarted, inspect: inspectNamed, lose, now })
  const inspectionWaitQueue = createInspectionWaitQueue({
    isKnown: (id) => !!containerOf(id)?.details,
    handle,
    now,
  })
  const round = createSlicedRound(tracked.open)

  function handle(event: DockerEvent): void {
    const container = containerOf(event.actorId) ?? containerOfEvent(event)
    const id = execIdOf(event, container)
    if (id === null) return unidentified.onEvent(event, container)
    const exec = trackOnce(id, container, event.detail)
    if (exec === undefined) return
    if (event.action === 'exec_start') lifecycle.started(exec, event)
    if (event.action === 'exec_die') lifecycle.died(exec, event)
  }

  /** Undefined if the exec is done. */
  function trackOnce(id: string, container: Container, commandLine: string): EngineExec | undefined {
    return tracked.isDone(id) ? undefined : (tracked.get(id) ?? track(id, container, commandLine))
  }

  function track(id: string, container: Container, commandLine: string): EngineExec {
    const exec = newEngineExec({ id, container, commandLine, lastSeenAt: now() })
    tracked.add(exec)
    inspect(exec, (result) => {
      lifecycle.inspected(exec, result)
      unidentified.onInspected(exec)
    })
    return exec
  }

  function isStarted(id: string): boolean {
    return tracked.isDone(id) || (tracked.get(id)?.startedAt ?? null) !== null
  }

  /** Its process runs or ran, so if the engine knows the exec, it was started. */
  function inspectNamed({ execId, container, time }: NamedExec, onResult: () => void): void {
    const found = newEngineExec({ id: execId, container, commandLine: '', lastSeenAt: now() })
    inspect(tracked.get(execId) ?? found, (result) => {
      onResult()
      if (!result || isStarted(execId)) return
      const hasRun = result.running || result.exitCode !== null
      if (!hasRun) return
      // An event may have reported it meanwhile.
      const exec = tracked.get(execId) ?? found
      if (exec === found) tracked.add(found)
      lifecycle.foundStarted(exec, result, time)
    })
  }

  return {
    onEvent(event) {
      if (event.type === 'container' && event.action.startsWith('exec_')) inspectionWaitQueue.take(event)
    },
    onNamed: named.take,
    isBeingInspected: named.isBeingInspected,
    onContainer(container) {
      inspectionWaitQueue.release()
      if (isUp(container)) return
      for (const exec of tracked.openIn(container.id)) {
        if (exec.startedAt === null) tracked.forget(exec.id)
        else lifecycle.checkSoon(exec)
      }
    },
    reconcile(container) {
      const execIds = container.details?.execIds ?? []
      for (const id of execIds) trackOnce(id, container, '')
      for (const exec of tracked.openIn(container.id)) {
        if (exec.reported && !execIds.includes(exec.id)) lifecycle.checkSoon(exec)
      }
    },
    tick() {
      inspectionWaitQueue.release()
      named.tick()
      unidentified.reportOverdue()
      const time = now()
      return round((exec) => lifecycle.tick(exec, time))
    },
  }
}
