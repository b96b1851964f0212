import type { Container } from '../../../model/container.ts'
import type { DockerEvent, ExecEnded, ExecObservation } from '../../../model/observation.ts'
import { integerOf, isUp } from '../inventory/lifecycle.ts'
import type { ExecInspect, InspectExec } from './exec-inspect.ts'
import { observationOf } from './exec-observation.ts'
import type { EngineExec, TrackedExecs } from './tracked-execs.ts'

/**
 * When a process of a container started, in epoch milliseconds; null if it is not running, or is not the container's:
 * the engine may be on another host.
 */
export type StartOfProcess = (pid: number, containerId: string) => number | null

export type ExecLifecycleOptions = {
  tracked: Pick<TrackedExecs, 'done' | 'forget'>
  inspect: InspectExec
  containerOf: (id: string) => Container | undefined
  emit: (observation: ExecObservation | ExecEnded) => void
  startOf: StartOfProcess
  /** Epoch milliseconds. */
  now: () => number
}

/**
 * Moves an exec through its states, and reports its start and its end once each.
 *
 * | state | fields | next state when |
 * |---|---|---|
 * | known | `startedAt` is null | `exec_start` arrives; or `exec_die`; or an inspect finds it running |
 * | started | `startedAt` | the first inspect has answered, or the wait for it is over: the start is reported |
 * | reported | `reported` | `exec_die` arrives, or an inspect finds it ended |
 * | ended | `end` | its start is reported: the end is reported, and the exec is done |
 */
export type ExecLifecycle = {
  /** `exec_start`. */
  started(exec: EngineExec, event: DockerEvent): void
  /** `exec_start` without an exec id: its end event will have none either, and may have come before. */
  startedUnidentified(exec: EngineExec, event: DockerEvent): void
  /** `exec_die`. */
  died(exec: EngineExec, event: DockerEvent): void
  /** The inspect that each exec gets when it becomes known. */
  inspected(exec: EngineExec, result: ExecInspect | null | undefined): void
  /** No event reported it, but its process was seen at this time and the engine knows the exec. */
  foundStarted(exec: EngineExec, result: ExecInspect, time: number): void
  /** Reports the start immediately, with what is known. */
  report(exec: EngineExec, startedAt: number): void
  /** Inspects a reported exec whose end no event reported; if it ended, `time` counts as its end. */
  check(exec: EngineExec, time: number): void
  /** Checks it unless an event reports its end first. */
  checkSoon(exec: EngineExec): void
  /** Ends waits that are overdue. */
  tick(exec: EngineExec, time: number): void
}

export function createExecLifecycle({
  tracked,
  inspect,
  containerOf,
  emit,
  startOf,
  now,
}: ExecLifecycleOptions): ExecLifecycle {
  function started(exec: EngineExec, event: DockerEvent): void {
    if (exec.startedAt !== null) return
    exec.startedAt = event.time
    exec.lastSeenAt = now()
    exec.commandLine = event.detail
    exec.checkAt = now() + failedStartMs
    reportWhenReady(exec)
  }

  function reportWhenReady(exec: EngineExec): void {
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

  function report(exec: EngineExec, startedAt: number): void {
    exec.inspect ??= null
    exec.reported = true
    const observation = observationOf(
      exec.id,
      currentContainer(exec),
      startedAt,
      exec.inspect,
      exec.commandLine,
    )
    emit(exec.foundAt === null ? observation : { ...observation, foundAt: exec.foundAt })
  }

  function check(exec: EngineExec, time: number): void {
    exec.checkAt = null
    inspect(exec, (result) => {
      const isRunning = result === null ? isUp(currentContainer(exec)) : result?.running
      const exitCode = result?.exitCode ?? null
      // An engine restarted under running containers has forgotten their execs; that does not mean that they ended.
      if (isRunning || exec.end !== null) return
      if (result === null || exitCode !== null) exec.end = { time, exitCode, ...failedStart(result) }
      else exec.checkAt = now() + failedStartMs
      reportWhenReady(exec)
    })
  }

  function checkSoon(exec: EngineExec): void {
    exec.checkAt = now() + eventDelayMs
  }

  /** No event reported its start: the kernel knows when its process started. */
  function foundRunning(exec: EngineExec): void {
    exec.foundAt = exec.lastSeenAt
    const startedAt = startOf(exec.inspect?.settings.pid ?? 0, exec.container.id) ?? exec.foundAt
    exec.startedAt = Math.min(startedAt, exec.foundAt)
  }

  function currentContainer(exec: EngineExec): Container {
    return containerOf(exec.container.id) ?? exec.container
  }

  return {
    started,
    startedUnidentified(exec, event) {
      started(exec, event)
      checkSoon(exec)
    },
    died(exec, event) {
      if (exec.startedAt === null) {
        exec.startedAt = event.time
        exec.lastSeenAt = now()
      }
      // An image label of that name replaces the engine's own attribute.
      if (Object.hasOwn(currentContainer(exec).labels, 'exitCode')) check(exec, event.time)
      else exec.end = { time: event.time, exitCode: integerOf(event.attributes['exitCode']) }
      reportWhenReady(exec)
    },
    inspected(exec, result) {
      if (exec.inspect === undefined) exec.inspect = result ?? null
      if (result?.running && exec.startedAt === null) checkSoon(exec)
      reportWhenReady(exec)
    },
    foundStarted(exec, result, time) {
      exec.inspect = result
      exec.startedAt = time
      exec.lastSeenAt = exec.foundAt = now()
      if (result.running) exec.checkAt = now() + failedStartMs
      else exec.end = { time: now(), exitCode: result.exitCode, ...failedStart(result) }
      reportWhenReady(exec)
    },
    report,
    check,
    checkSoon,
    tick(exec, time) {
      const isDue = exec.checkAt !== null && time >= exec.checkAt
      if (exec.startedAt === null) {
        // The inspect found it running, and its start event did not follow.
        if (isDue) foundRunning(exec)
        else if (time - exec.lastSeenAt > keepUnstartedMs) tracked.forget(exec.id)
      } else if (exec.reported && isDue) check(exec, time)
      if (!exec.reported) reportWhenReady(exec)
    },
  }
}

/** The engine keeps the pid of an ended exec, so one without a pid never had a process. */
function failedStart(result: ExecInspect | null | undefined): Pick<ExecEnded, 'hasFailedToStart'> {
  const isCannotRun = result?.exitCode === 126 || result?.exitCode === 127
  return isCannotRun && result?.settings.pid === 0 ? { hasFailedToStart: true } : {}
}

// The engine answers an exec inspect within milliseconds, even while the exec is slow to start. If it takes longer,
// the exec is reported without the inspect.
const inspectWaitMs = 5_000

// A failed start has no exec_die event.
const failedStartMs = 5_000

// An event is published within this time of what it reports.
const eventDelayMs = 1_000

// An exec may be created and never started; the engine itself forgets it after about this time.
const keepUnstartedMs = 600_000
