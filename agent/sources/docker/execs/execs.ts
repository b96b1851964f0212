import type { Container } from '../../../model/container.ts'
import type { DockerEvent, ExecEnded, ExecObservation } from '../../../model/observation.ts'
import type { CallQueue } from '../client/call-queue.ts'
import type { DockerClient } from '../client/client.ts'
import { type ExecInspect, execOfInspect } from './exec-inspect.ts'
import { trackedExecs, type Exec, newExec } from './tracked-execs.ts'
import { execIdOf, observationOf } from './exec-observation.ts'
import { createContainerWaitQueue } from './container-wait-queue.ts'
import { containerOfEvent } from '../inventory/identity.ts'
import { textOf, textsOf } from '../../../lib/json-object.ts'
import { integerOf, isUp } from '../inventory/lifecycle.ts'
import { createNamedExecs, type NamedExec } from './named-execs.ts'
import { createUnidentifiedStarts, isStartOf } from './unidentified-starts.ts'

export type ExecTrackerOptions = {
  client: Pick<DockerClient, 'inspectContainer' | 'inspectExec'>
  calls: CallQueue
  containerOf: (id: string) => Container | undefined
  emit: (observation: ExecObservation | ExecEnded) => void
  lose: (reason: string) => void
  /** Epoch milliseconds. */
  now: () => number
}

/** Combines events and inspects of an exec, and reports its start and its end once each. */
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
  now,
}: ExecTrackerOptions): ExecTracker {
  const tracked = trackedExecs((evicted) => {
    if (evicted.startedAt !== null && !evicted.reported) report(evicted, evicted.startedAt)
    lose('queue-full')
  })
  const unidentified = createUnidentifiedStarts(reportUnidentified)
  const named = createNamedExecs({ isKnown: isStarted, inspect: inspectNamed, lose, now })
  // Each tick continues where the last one stopped: after a burst there are thousands.
  let round: Iterator<Exec> | undefined
  const containerWaitQueue = createContainerWaitQueue({
    isKnown: (id) => !!containerOf(id)?.details,
    handle,
    now,
  })

  function find(id: string, container: Container, commandLine: string): Exec | undefined {
    return tracked.isDone(id) ? undefined : (tracked.get(id) ?? add(id, container, commandLine))
  }

  function add(id: string, container: Container, commandLine: string): Exec {
    const exec = newExec({ id, container, commandLine, lastSeenAt: now() })
    tracked.add(exec)
    inspect(exec, (result) => {
      if (exec.inspect === undefined) exec.inspect = result ?? null
      if (result?.running && exec.startedAt === null) exec.checkAt = now() + eventDelayMs
      const start = exec.startedAt === null ? unidentified.take(exec) : undefined
      if (start !== undefined) startedUnidentified(exec, start)
      reportWhenReady(exec)
    })
    return exec
  }

  /** Passes null if the engine has no such exec in this container, undefined if it did not result. */
  function inspect(exec: Exec, onResult: (result: ExecInspect | null | undefined) => void): void {
    const taken = calls.call(
      () => client.inspectExec(exec.id),
      (reply) => {
        if (reply === null || reply === undefined) onResult(reply)
        else if (textOf(reply['ContainerID']) !== exec.container.id) onResult(null)
        else onResult(execOfInspect(reply))
      },
    )
    if (taken) return
    lose('queue-full')
    onResult(undefined)
  }

  function started(exec: Exec, event: DockerEvent): void {
    if (exec.startedAt !== null) return
    exec.startedAt = event.time
    exec.lastSeenAt = now()
    exec.commandLine = event.detail
    exec.checkAt = now() + failedStartMs
    reportWhenReady(exec)
  }

  function isStarted(id: string): boolean {
    return tracked.isDone(id) || (tracked.get(id)?.startedAt ?? null) !== null
  }

  /** Its process runs or ran, so if the engine knows the exec, it was started. */
  function inspectNamed({ execId, container, time }: NamedExec, onResult: () => void): void {
    const known = tracked.get(execId)
    const exec = known ?? newExec({ id: execId, container, commandLine: '', lastSeenAt: now() })
    inspect(exec, (result) => {
      onResult()
      if (!result || isStarted(execId)) return
      const hasRun = result.running || result.exitCode !== null
      if (!hasRun) return
      if (known === undefined) tracked.add(exec)
      exec.inspect = result
      exec.startedAt = time
      exec.lastSeenAt = now()
      if (result.running) exec.checkAt = now() + failedStartMs
      else exec.end = { time: now(), exitCode: result.exitCode }
      reportWhenReady(exec)
    })
  }

  /** Its end event has no id either, and may have come before the exec was found. */
  function startedUnidentified(exec: Exec, event: DockerEvent): void {
    started(exec, event)
    exec.checkAt = now() + eventDelayMs
  }

  function died(exec: Exec, event: DockerEvent): void {
    if (exec.startedAt === null) {
      exec.startedAt = event.time
      exec.lastSeenAt = now()
    }
    // An image label of that name replaces the engine's own attribute.
    if (Object.hasOwn(currentContainer(exec).labels, 'exitCode')) check(exec, event.time)
    else exec.end = { time: event.time, exitCode: integerOf(event.attributes['exitCode']) }
    reportWhenReady(exec)
  }

  function reportWhenReady(exec: Exec): void {
    if (exec.startedAt === null) return
    if (!exec.reported) {
      const isLate = now() - exec.lastSeenAt >= inspectWaitMs
      if (exec.inspect === undefined && !isLate) return
      report(exec, exec.startedAt)
    }
    if (exec.end === null) return
    emit({ kind: 'exec-ended', container: currentContainer(exec), execId: exec.id, ...exec.end })
    tracked.done(exec.id)
  }

  function report(exec: Exec, time: number): void {
    exec.inspect ??= null
    exec.reported = true
    emit(observationOf(exec.id, currentContainer(exec), time, exec.inspect, exec.commandLine))
  }

  /** Inspects an exec whose end no event has reported. */
  function check(exec: Exec, time: number): void {
    exec.checkAt = null
    inspect(exec, (result) => {
      const isRunning = result === null ? isUp(currentContainer(exec)) : result?.running
      const exitCode = result?.exitCode ?? null
      // An engine restarted under running containers has forgotten their execs; that does not mean that they ended.
      if (isRunning || exec.end !== null) return
      if (result === null || exitCode !== null) exec.end = { time, exitCode }
      else exec.checkAt = now() + failedStartMs
      reportWhenReady(exec)
    })
  }

  function currentContainer(exec: Exec): Container {
    return containerOf(exec.container.id) ?? exec.container
  }

  /** Lists the container's execs, because an event did not name one. */
  function discover(container: Container): void {
    const taken = calls.call(
      () => client.inspectContainer(container.id),
      (result) => textsOf(result?.['ExecIDs']).forEach((id) => find(id, container, '')),
    )
    if (!taken) lose('queue-full')
  }

  function onUnidentifiedEvent(event: DockerEvent, container: Container): void {
    if (event.action === 'exec_die') {
      for (const exec of tracked.openIn(container.id)) if (exec.reported) check(exec, event.time)
      return
    }
    discover(container)
    if (event.action !== 'exec_start') return
    const exec = tracked
      .openIn(container.id)
      .find((open) => open.startedAt === null && isStartOf(event, open))
    if (exec === undefined) unidentified.add(event, now())
    else startedUnidentified(exec, event)
  }

  function reportUnidentified(event: DockerEvent): void {
    const container = containerOf(event.actorId) ?? containerOfEvent(event)
    emit(observationOf('', container, event.time, null, event.detail))
  }

  function tickOf(exec: Exec, time: number): void {
    const isDue = exec.checkAt !== null && time >= exec.checkAt
    if (exec.startedAt === null) {
      if (isDue) exec.startedAt = exec.lastSeenAt
      else if (time - exec.lastSeenAt > keepUnstartedMs) tracked.forget(exec.id)
    } else if (exec.reported && isDue) check(exec, time)
    if (!exec.reported) reportWhenReady(exec)
  }

  function checkAll(containerId: string): void {
    for (const exec of tracked.openIn(containerId)) {
      if (exec.startedAt === null) tracked.forget(exec.id)
      else exec.checkAt = now() + eventDelayMs
    }
  }

  function handle(event: DockerEvent): void {
    const container = containerOf(event.actorId) ?? containerOfEvent(event)
    const id = execIdOf(event, container)
    if (id === null) return onUnidentifiedEvent(event, container)
    const exec = find(id, container, event.detail)
    if (exec === undefined) return
    if (event.action === 'exec_start') started(exec, event)
    if (event.action === 'exec_die') died(exec, event)
  }

  return {
    onEvent(event) {
      if (event.type === 'container' && event.action.startsWith('exec_')) containerWaitQueue.take(event)
    },
    onNamed: named.take,
    isBeingInspected: named.isBeingInspected,
    onContainer(container) {
      containerWaitQueue.release()
      if (!isUp(container)) checkAll(container.id)
    },
    reconcile(container) {
      const execIds = container.details?.execIds ?? []
      for (const id of execIds) find(id, container, '')
      for (const exec of tracked.openIn(container.id)) {
        if (exec.reported && !execIds.includes(exec.id)) exec.checkAt = now() + eventDelayMs
      }
    },
    tick() {
      containerWaitQueue.release()
      named.tick()
      const time = now()
      unidentified.reportOverdue(time - listingWaitMs)
      const sliceEndsAt = performance.now() + sliceMs
      round ??= tracked.open()[Symbol.iterator]()
      for (let next = round.next(); ; next = round.next()) {
        if (next.done === true) {
          round = undefined
          return false
        }
        tickOf(next.value, time)
        if (performance.now() > sliceEndsAt) return true
      }
    },
  }
}

// The event loop is shared with the rest of the daemon.
const sliceMs = 5

// The engine answers an exec inspect within milliseconds, even while the exec is slow to start. If it takes longer,
// the exec is reported without the inspect.
const inspectWaitMs = 5_000

// The engine delays the list of a container's execs while the runtime starts one of them: 1.3 s in a container with a
// hundredth of a core. A little longer than the client's timeout.
const listingWaitMs = 12_000

// A failed start has no exec_die event.
const failedStartMs = 5_000

// An event is published within this time of what it reports.
const eventDelayMs = 1_000

// An exec may be created and never started; the engine itself forgets it after about this time.
const keepUnstartedMs = 600_000
