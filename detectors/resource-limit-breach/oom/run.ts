import type { ContainerObservation, OomVictim } from '../../../agent/model/observation.ts'
import { isRunning } from '../container-event.ts'
import { explainDeaths } from './engine-event.ts'
import {
  countedKills,
  diedUnreported,
  type Ledger,
  newRun,
  type Recorded,
  startOf,
  survivedGroup,
  undecided,
  undecidedByCounter,
} from './ledger.ts'
import { survived } from './report.ts'

/** Records the state in which the daemon found the container. A flag `OOMKilled` it has already needs no finding. */
export function recordSeen(before: Ledger, observation: ContainerObservation): Ledger {
  const { container } = observation
  const isFlagExplained = isRunning(observation) && container.details?.oomKilled === true
  return { ...before, up: isRunning(observation), startedAt: startOf(container), isFlagExplained }
}

/** Records a new container: its cgroup does not exist yet, and will count from 0. */
export function recordCreated(before: Ledger): Ledger {
  return before.up === null ? { ...before, ...newRun } : before
}

/**
 * A process can be killed before the engine reports the start, so everything after the last death belongs to this run.
 * If the end of the previous run was missed, kills that waited for it are reported now.
 */
export function recordStart(before: Ledger, { time, container }: ContainerObservation): Recorded {
  // A replayed start says nothing about the sampled cgroup.
  if (time < before.sampledAt && before.up !== false) return [before, []]
  const startedAt = startOf(container)
  if (before.up === true && before.startedAt === startedAt) return [before, []]
  const isEndMissed = before.up === true
  const [ended, reports] = isEndMissed ? closeMissedRun(before, time) : [before, []]
  const { counter, decided } = ended
  const started: Ledger = {
    ...ended,
    up: true,
    startedAt,
    counter: counter ?? 0,
    decided: decided ?? 0,
    isKillKnown: ended.initVictims.length > 0,
  }
  return [started, reports]
}

function closeMissedRun(before: Ledger, time: number): Recorded {
  const { events, initVictims } = before
  const isOld = (victim: OomVictim) => victim.time < time
  const [closed, reports] = passDeadline({ ...before, events: [], initVictims: initVictims.filter(isOld) })
  const sigkillRequestedAt = before.sigkillRequestedAt >= time ? before.sigkillRequestedAt : -Infinity
  const newer = initVictims.filter((victim) => !isOld(victim))
  return [{ ...closed, ...newRun, events, initVictims: newer, sigkillRequestedAt, settledAt: time }, reports]
}

/** No fact decided the waiting kills: the first process is assumed alive, unless the kernel named it. */
export function passDeadline(before: Ledger): Recorded {
  const after: Ledger = { ...before, events: [], counted: null, initVictims: [], groupVictims: [] }
  if (after.decided !== null) after.decided += undecidedByCounter(before)
  const dead = before.initVictims.map((victim) => diedUnreported(before, victim))
  const group = survivedGroup(before)
  const [explained, deaths] = explainDeaths(after, before.events)
  const left = undecided(before) - deaths.length
  const container = before.counted?.container ?? before.events[0]?.container
  if (left <= 0 || container === undefined) return [explained, [...dead, ...group, ...deaths]]
  const kills = survived(countedKills(before, left, container))
  return [{ ...explained, isFlagExplained: true }, [...dead, ...group, ...deaths, kills]]
}
