import type { ContainerObservation, ProcessKilled, ResourceSample } from '../../agent/model/observation.ts'
import type { Detection } from '../../agent/model/finding.ts'
import { formatBytes } from '../../agent/model/format.ts'
import { isRunning, type Step } from './moment.ts'
import type { Kill } from './oom-tally.ts'

/** How long a kill and the death it causes may be told apart, in either order. */
export const joinWindowMs = 1_000

// On a host that is out of breath the engine takes seconds to tell of a death, and as long to bury who died. A
// container that still has processes after that has survived the kill.
const busyWindowMs = 10_000
const aliveAfterMs = 3_000

/** When to ask whether a kill still waits for the death that it may have caused. */
export function lapsesOf({ toldBy }: Pick<Kill, 'toldBy'>): readonly number[] {
  // The kernel's counter is read within milliseconds, the engine's event may be as late as the death.
  return toldBy === 'counter' ? [busyWindowMs] : [joinWindowMs, busyWindowMs]
}

/** A kill that no death followed for a time, milliseconds. */
export type Lapse = { kind: 'lapse'; kill: Kill; after: number }

export type Verdict = {
  /** Kills that wait for whether the container dies of them. */
  pending: readonly Kill[]
  /** The last death with the exit code of a kill, and whether it was reported as one for memory. */
  death: { observation: ContainerObservation; isReported: boolean } | null
  /** Whether the engine's OOMKilled flag is explained by an earlier kill, which the container survived. */
  isFlagged: boolean
  /** When the kernel told that the first process had ended by SIGKILL, epoch milliseconds: the engine will tell of the death. */
  firstKilledAt: number | null
}

export const emptyVerdict: Verdict = { pending: [], death: null, isFlagged: false, firstKilledAt: null }

/** All that says something of kills; of processes that were killed, the first ones only. */
export type KillSign = Kill | Lapse | ResourceSample | ContainerObservation | ProcessKilled

/** Joins kills with deaths: a container dies of a kill when its first process was the one killed. */
export const judgeKills: Step<Verdict, KillSign, Detection> = (before, input) => {
  if (input.kind === 'kill') return judgeKill(before, input)
  if (input.kind === 'lapse') {
    const { kill: lapsed, after } = input
    return judgeSurvivors(before, (kill) => kill === lapsed && after >= waitOf(kill, before))
  }
  if (input.kind === 'process-killed') return [{ ...before, firstKilledAt: input.time }, []]
  if (input.kind === 'resources') {
    const isAlive = input.pids.current > 0
    const isDying = (kill: Kill) => isFirstKilled(kill, before)
    return judgeSurvivors(
      before,
      (kill) => isAlive && !isDying(kill) && kill.time <= input.time - aliveAfterMs,
    )
  }
  switch (input.action) {
    case 'died':
      return judgeDeath(before, input)
    case 'started':
      // What the new process tree does is not the old one's death; only an unexplained one still waits.
      return [
        {
          ...before,
          isFlagged: false,
          firstKilledAt: null,
          death: before.death?.isReported ? null : before.death,
        },
        [],
      ]
    case 'seen':
      return [{ ...before, isFlagged: isRunning(input) && input.container.details?.oomKilled === true }, []]
    default:
      return [before, []]
  }
}

function judgeKill(before: Verdict, kill: Kill): ReturnType<typeof judgeKills> {
  const { death } = before
  if (death === null || !areClose(kill, death.observation, before)) {
    return [{ ...before, pending: [...before.pending, kill] }, []]
  }
  if (death.isReported) return [before, []]
  return [{ ...before, death: { ...death, isReported: true } }, [died(death.observation, kill)]]
}

function judgeSurvivors(before: Verdict, isSurvivor: (kill: Kill) => boolean): ReturnType<typeof judgeKills> {
  const survivors = before.pending.filter(isSurvivor)
  if (survivors.length === 0) return [before, []]
  const pending = before.pending.filter((kill) => !isSurvivor(kill))
  return [{ ...before, pending, isFlagged: true }, survivors.map(survived)]
}

function judgeDeath(before: Verdict, death: ContainerObservation): ReturnType<typeof judgeKills> {
  const { exitCode, container } = death
  const isKilled = exitCode === killedExitCode
  const hasFlag = container.details?.oomKilled === true && exitCode !== 0
  const cause =
    isKilled || hasFlag ? before.pending.findLast((kill) => areClose(kill, death, before)) : undefined
  const survivals = before.pending.filter((kill) => kill !== cause).map(survived)
  const isFlagNew = !before.isFlagged && before.pending.length === 0
  const isReported = cause !== undefined || (isKilled && hasFlag && isFlagNew)
  const reports = isReported ? [died(death, cause ?? null)] : []
  const after = {
    ...emptyVerdict,
    death: isKilled || isReported ? { observation: death, isReported } : null,
  }
  return [after, [...survivals, ...reports]]
}

// 128 + SIGKILL.
const killedExitCode = 137

function areClose(kill: Kill, death: ContainerObservation, verdict: Verdict): boolean {
  return Math.abs(kill.time - death.time) <= waitOf(kill, verdict)
}

/** How long a kill waits for the death that it may have caused. */
function waitOf(kill: Kill, verdict: Verdict): number {
  return kill.toldBy === 'counter' || isFirstKilled(kill, verdict) ? busyWindowMs : joinWindowMs
}

function isFirstKilled({ time }: Kill, { firstKilledAt }: Verdict): boolean {
  return firstKilledAt !== null && Math.abs(firstKilledAt - time) <= joinWindowMs
}

function survived(kill: Kill): Detection {
  const { time, container, act, count } = kill
  const who = count === 1 ? 'a process' : `${count} processes`
  return {
    rule: 'oom-kill',
    time,
    container,
    summary: `${who} of ${container.name} ${count === 1 ? 'was' : 'were'} killed for want of memory${limitOf(kill)}`,
    subject: [],
    act,
    evidence: { kills: count, told_by: kill.toldBy, ...memoryOf(kill) },
  }
}

function died({ time, container, exitCode }: ContainerObservation, kill: Kill | null): Detection {
  return {
    rule: 'container-oom-killed',
    time: kill?.time ?? time,
    container,
    summary: `${container.name} was killed for want of memory${limitOf(kill)}`,
    subject: [],
    act: kill?.act ?? `oom:${container.id}:${time}`,
    evidence: { exit_code: exitCode, told_by: kill?.toldBy ?? 'exit', ...memoryOf(kill) },
  }
}

function limitOf(kill: Kill | null): string {
  const limit = kill?.memory?.limitBytes ?? kill?.container.details?.limits.memoryBytes
  return limit == null ? '' : ` (its limit is ${formatBytes(limit)})`
}

function memoryOf(kill: Kill | null) {
  return {
    limit_bytes: kill?.memory?.limitBytes ?? kill?.container.details?.limits.memoryBytes,
    last_working_set_bytes: kill?.memory?.workingSetBytes,
  }
}
