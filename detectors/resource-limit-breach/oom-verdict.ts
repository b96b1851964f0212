import type { ContainerObservation, ResourceSample } from '../../agent/model/observation.ts'
import type { Detection } from '../../agent/model/finding.ts'
import { formatBytes } from '../../agent/model/format.ts'
import { isRunning, type Step } from './moment.ts'
import type { Kill } from './oom-tally.ts'

/** How long a kill and the death it causes may be told apart, in either order. */
export const joinWindowMs = 1_000

// The kernel's counter is read within milliseconds; on a host that is out of breath the engine takes seconds to tell
// of the death, and as long to bury who died. A container that still has processes after that has survived the kill.
const counterWindowMs = 10_000
const aliveAfterMs = 3_000

/** How long a kill waits for the death that it may have caused. */
export function waitOf({ toldBy }: Pick<Kill, 'toldBy'>): number {
  return toldBy === 'counter' ? counterWindowMs : joinWindowMs
}

/** A kill that no death followed in time. */
export type Lapse = { kind: 'lapse'; kill: Kill }

export type Verdict = {
  /** Kills that wait for whether the container dies of them. */
  pending: readonly Kill[]
  /** The last death with the exit code of a kill, and whether it was reported as one for memory. */
  death: { observation: ContainerObservation; isReported: boolean } | null
  /** Whether the engine's OOMKilled flag is explained by an earlier kill, which the container survived. */
  isFlagged: boolean
}

export const emptyVerdict: Verdict = { pending: [], death: null, isFlagged: false }

/** Joins kills with deaths: a container dies of a kill when its first process was the one killed. */
export const judgeKills: Step<Verdict, Kill | Lapse | ResourceSample | ContainerObservation, Detection> = (
  before,
  input,
) => {
  if (input.kind === 'kill') return judgeKill(before, input)
  if (input.kind === 'lapse') return judgeSurvivors(before, (kill) => kill === input.kill)
  if (input.kind === 'resources') {
    const isAlive = input.pids.current > 0
    return judgeSurvivors(before, ({ time }) => isAlive && time <= input.time - aliveAfterMs)
  }
  switch (input.action) {
    case 'died':
      return judgeDeath(before, input)
    case 'started':
      // What the new process tree does is not the old one's death; only an unexplained one still waits.
      return [{ ...before, isFlagged: false, death: before.death?.isReported ? null : before.death }, []]
    case 'seen':
      return [{ ...before, isFlagged: isRunning(input) && input.container.details?.oomKilled === true }, []]
    default:
      return [before, []]
  }
}

function judgeKill(before: Verdict, kill: Kill): ReturnType<typeof judgeKills> {
  const { death } = before
  if (death === null || !areClose(kill, death.observation)) {
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
  const cause = isKilled || hasFlag ? before.pending.findLast((kill) => areClose(kill, death)) : undefined
  const survivals = before.pending.filter((kill) => kill !== cause).map(survived)
  const isFlagNew = !before.isFlagged && before.pending.length === 0
  const isReported = cause !== undefined || (isKilled && hasFlag && isFlagNew)
  const reports = isReported ? [died(death, cause ?? null)] : []
  const after = {
    pending: [],
    isFlagged: false,
    death: isKilled || isReported ? { observation: death, isReported } : null,
  }
  return [after, [...survivals, ...reports]]
}

// 128 + SIGKILL.
const killedExitCode = 137

function areClose(kill: Kill, death: ContainerObservation): boolean {
  return Math.abs(kill.time - death.time) <= waitOf(kill)
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
