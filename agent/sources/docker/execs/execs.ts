import type { Container } from '../../../model/container.ts'
import type { DockerEvent, ExecEnded, ExecObservation } from '../../../model/observation.ts'
import type { CallQueue } from '../client/call-queue.ts'
import type { DockerClient } from '../client/client.ts'
import { type ExecInspect, execOfInspect } from './exec-inspect.ts'
import { trackedExecs, type Exec, newExec } from './tracked-execs.ts'
import { execIdOf, observationOf } from './exec-observation.ts'
import { createHeldEvents } from './container-wait-queue.ts'
import { containerOfEvent } from '../inventory/identity.ts'
import { textOf, textsOf } from '../../../lib/json-object.ts'
import { integerOf, isUp } from '../inventory/lifecycle.ts'
import { createNamedExecs, type NamedExec } from './named-execs.ts'
import { createNamelessStarts, isStartOf } from './unidentified-starts.ts'

export type ExecTrackerOptions = {
  client: Pick<DockerClient, 'inspectContainer' | 'inspectExec'>
  calls: CallQueue
  containerOf: (id: string) => Container | undefined
  emit: (observation: ExecObservation | ExecEnded) => void
  lose: (reason: string) => void
  /** Epoch milliseconds. */
  now: () => number
}

/** Joins what events and inspects tell of an exec, and says once that it started and once that it ended. */
export type ExecTracker = {
  onEvent(event: DockerEvent): void
  /** A process says that this exec brought it. */
  onNamed(named: NamedExec): void
  /** Whether a process named this exec, and neither an event nor the engine's answer has come yet. */
  isAskedFor(execId: string): boolean
  /** Looks for execs of which no event told, and for those whose end none did. */
  reconcile(container: Container): void
  /** Something was told of a container: it may be known now, or have ended and its execs with it. */
  onContainer(container: Container): void
  /** To be called some times a second: stops waiting for what does not come. True when it is to be called again at once. */
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
  const ledger = trackedExecs((evicted) => {
    if (evicted.startedAt !== null && !evicted.told) tell(evicted, evicted.startedAt)
    lose('queue-full')
  })
  const nameless = createNamelessStarts(tellNameless)
  const named = createNamedExecs({ isKnown: isStarted, ask: askForNamed, lose, now })
  // Goes on where it was: after a flood thousands are told of at once.
  let round: Iterator<Exec> | undefined
  const heldEvents = createHeldEvents({ isKnown: (id) => !!containerOf(id)?.details, handle, now })

  function find(id: string, container: Container, commandLine: string): Exec | undefined {
    return ledger.isDone(id) ? undefined : (ledger.get(id) ?? add(id, container, commandLine))
  }

  function add(id: string, container: Container, commandLine: string): Exec {
    const exec = newExec({ id, container, commandLine, heardAt: now() })
    ledger.add(exec)
    inspect(exec, (answer) => {
      if (exec.inspect === undefined) exec.inspect = answer ?? null
      if (answer?.running && exec.startedAt === null) exec.checkAt = now() + eventDelayMs
      const start = exec.startedAt === null ? nameless.take(exec) : undefined
      if (start !== undefined) startedNameless(exec, start)
      tellWhenReady(exec)
    })
    return exec
  }

  /** Answers null when the engine has no such exec in this container, undefined when it was not asked. */
  function inspect(exec: Exec, answered: (answer: ExecInspect | null | undefined) => void): void {
    const taken = calls.call(
      () => client.inspectExec(exec.id),
      (reply) => {
        if (reply === null || reply === undefined) answered(reply)
        else if (textOf(reply['ContainerID']) !== exec.container.id) answered(null)
        else answered(execOfInspect(reply))
      },
    )
    if (taken) return
    lose('queue-full')
    answered(undefined)
  }

  function started(exec: Exec, event: DockerEvent): void {
    if (exec.startedAt !== null) return
    exec.startedAt = event.time
    exec.heardAt = now()
    exec.commandLine = event.detail
    exec.checkAt = now() + failedStartMs
    tellWhenReady(exec)
  }

  function isStarted(id: string): boolean {
    return ledger.isDone(id) || (ledger.get(id)?.startedAt ?? null) !== null
  }

  /** Its process runs or ran, so it was started if the engine knows it at all. */
  function askForNamed({ execId, container, time }: NamedExec, answered: () => void): void {
    const known = ledger.get(execId)
    const exec = known ?? newExec({ id: execId, container, commandLine: '', heardAt: now() })
    inspect(exec, (answer) => {
      answered()
      if (!answer || isStarted(execId)) return
      const hasRun = answer.running || answer.exitCode !== null
      if (!hasRun) return
      if (known === undefined) ledger.add(exec)
      exec.inspect = answer
      exec.startedAt = time
      exec.heardAt = now()
      if (answer.running) exec.checkAt = now() + failedStartMs
      else exec.end = { time: now(), exitCode: answer.exitCode }
      tellWhenReady(exec)
    })
  }

  /** Its end has no name either, and may have come before it was found. */
  function startedNameless(exec: Exec, event: DockerEvent): void {
    started(exec, event)
    exec.checkAt = now() + eventDelayMs
  }

  function died(exec: Exec, event: DockerEvent): void {
    if (exec.startedAt === null) {
      exec.startedAt = event.time
      exec.heardAt = now()
    }
    // An image's label of that name takes the place of the engine's own attribute.
    if (Object.hasOwn(currentContainer(exec).labels, 'exitCode')) check(exec, event.time)
    else exec.end = { time: event.time, exitCode: integerOf(event.attributes['exitCode']) }
    tellWhenReady(exec)
  }

  function tellWhenReady(exec: Exec): void {
    if (exec.startedAt === null) return
    if (!exec.told) {
      const isLate = now() - exec.heardAt >= inspectWaitMs
      if (exec.inspect === undefined && !isLate) return
      tell(exec, exec.startedAt)
    }
    if (exec.end === null) return
    emit({ kind: 'exec-ended', container: currentContainer(exec), execId: exec.id, ...exec.end })
    ledger.done(exec.id)
  }

  function tell(exec: Exec, time: number): void {
    exec.inspect ??= null
    exec.told = true
    emit(observationOf(exec.id, currentContainer(exec), time, exec.inspect, exec.commandLine))
  }

  /** Asks whether it has ended, for want of an event that tells. */
  function check(exec: Exec, time: number): void {
    exec.checkAt = null
    inspect(exec, (answer) => {
      const isRunning = answer === null ? isUp(currentContainer(exec)) : answer?.running
      const exitCode = answer?.exitCode ?? null
      // An engine that was restarted under running containers has forgotten their execs: that is no end.
      if (isRunning || exec.end !== null) return
      if (answer === null || exitCode !== null) exec.end = { time, exitCode }
      else exec.checkAt = now() + failedStartMs
      tellWhenReady(exec)
    })
  }

  function currentContainer(exec: Exec): Container {
    return containerOf(exec.container.id) ?? exec.container
  }

  /** Finds by listing what an event did not name. */
  function discover(container: Container): void {
    const taken = calls.call(
      () => client.inspectContainer(container.id),
      (answer) => textsOf(answer?.['ExecIDs']).forEach((id) => find(id, container, '')),
    )
    if (!taken) lose('queue-full')
  }

  function onNamelessEvent(event: DockerEvent, container: Container): void {
    if (event.action === 'exec_die') {
      for (const exec of ledger.openIn(container.id)) if (exec.told) check(exec, event.time)
      return
    }
    discover(container)
    if (event.action !== 'exec_start') return
    const exec = ledger.openIn(container.id).find((open) => open.startedAt === null && isStartOf(event, open))
    if (exec === undefined) nameless.add(event, now())
    else startedNameless(exec, event)
  }

  function tellNameless(event: DockerEvent): void {
    const container = containerOf(event.actorId) ?? containerOfEvent(event)
    emit(observationOf('', container, event.time, null, event.detail))
  }

  function tickOf(exec: Exec, time: number): void {
    const isDue = exec.checkAt !== null && time >= exec.checkAt
    if (exec.startedAt === null) {
      if (isDue) exec.startedAt = exec.heardAt
      else if (time - exec.heardAt > keepUnstartedMs) ledger.forget(exec.id)
    } else if (exec.told && isDue) check(exec, time)
    if (!exec.told) tellWhenReady(exec)
  }

  function checkAll(containerId: string): void {
    for (const exec of ledger.openIn(containerId)) {
      if (exec.startedAt === null) ledger.forget(exec.id)
      else exec.checkAt = now() + eventDelayMs
    }
  }

  function handle(event: DockerEvent): void {
    const container = containerOf(event.actorId) ?? containerOfEvent(event)
    const id = execIdOf(event, container)
    if (id === null) return onNamelessEvent(event, container)
    const exec = find(id, container, event.detail)
    if (exec === undefined) return
    if (event.action === 'exec_start') started(exec, event)
    if (event.action === 'exec_die') died(exec, event)
  }

  return {
    onEvent(event) {
      if (event.type === 'container' && event.action.startsWith('exec_')) heldEvents.take(event)
    },
    onNamed: named.take,
    isAskedFor: named.isAskedFor,
    onContainer(container) {
      heldEvents.release()
      if (!isUp(container)) checkAll(container.id)
    },
    reconcile(container) {
      const execIds = container.details?.execIds ?? []
      for (const id of execIds) find(id, container, '')
      for (const exec of ledger.openIn(container.id)) {
        if (exec.told && !execIds.includes(exec.id)) exec.checkAt = now() + eventDelayMs
      }
    },
    tick() {
      heldEvents.release()
      named.tick()
      const time = now()
      nameless.giveUp(time - listingWaitMs)
      const sliceEnds = performance.now() + sliceMs
      round ??= ledger.open()[Symbol.iterator]()
      for (let next = round.next(); ; next = round.next()) {
        if (next.done === true) {
          round = undefined
          return false
        }
        tickOf(next.value, time)
        if (performance.now() > sliceEnds) return true
      }
    },
  }
}

// The event loop is shared with everything else the daemon does.
const sliceMs = 5

// An exec inspect is answered within milliseconds, also while the exec is slow to start. An engine that takes
// longer is in trouble; then the exec is told without what only it knows.
const inspectWaitMs = 5_000

// The list of a container's execs is held back while the runtime starts one of them: 1.3 s in a container with a
// hundredth of a core. A little more than the client waits.
const listingWaitMs = 12_000

// A start that fails is never followed by exec_die.
const failedStartMs = 5_000

// An event is published within this time of what it tells of.
const eventDelayMs = 1_000

// An exec may be created and never started; the engine itself forgets it after about as long.
const keepUnstartedMs = 600_000
