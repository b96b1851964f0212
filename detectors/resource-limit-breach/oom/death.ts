import type { ContainerObservation } from '../../../agent/model/observation.ts'
import { maxWaiting } from './deadline.ts'
import {
  countedKills,
  diedBy,
  type Ledger,
  newRun,
  type Recorded,
  survivedGroup,
  undecided,
  undecidedByCounter,
} from './ledger.ts'
import { died, survived } from './report.ts'

/** Records the end of a run: decides whether an OOM kill caused it, and that the container survived all other kills. */
export function recordDeath(before: Ledger, death: ContainerObservation): Recorded {
  const { container, exitCode, time } = death
  // A replayed death of an earlier run. The death of this run can be older than a sample: the engine reports it late.
  if (time < before.sampledAt && time < before.startedAt) return [before, []]
  // A kill precedes its death: a later victim is the first process of the next run.
  const victim = before.initVictims.find((one) => one.time <= time)
  const sigkillRequestedAt = before.sigkillRequestedAt > time ? before.sigkillRequestedAt : -Infinity
  const down: Ledger = {
    ...before,
    ...newRun,
    up: false,
    diedAt: time,
    events: [],
    sigkillRequestedAt,
    settledAt: time,
  }
  const after: Ledger = { ...down, initVictims: before.initVictims.filter((one) => one !== victim) }
  if (victim !== undefined) {
    const left = undecidedByCounter(before)
    const others = left > 0 ? [survived(countedKills(before, left, container))] : []
    return [
      after,
      [...others, died({ ...victim, container, reportedBy: 'kernel', memory: before.memory }, death)],
    ]
  }
  const group = survivedGroup(before)
  const wasRequested = before.sigkillRequestedAt > -Infinity && before.sigkillRequestedAt <= time
  const isKilled = exitCode === sigkillExitCode && !wasRequested
  const known = undecided(before)
  if (!isKilled) {
    return [after, known > 0 ? [...group, survived(countedKills(before, known, container))] : group]
  }
  if (known > 0 || before.events.length > 0) {
    const others = known > 1 ? [survived(countedKills(before, known - 1, container))] : []
    return [after, [...group, ...others, diedBy(before, death, before.counted?.reportedBy ?? 'event')]]
  }
  if (container.details?.oomKilled === true && !before.isFlagExplained) {
    const awaitedEvents = after.awaitedEvents + 1
    return [{ ...after, awaitedEvents }, [...group, diedBy(before, death, 'exit')]]
  }
  return [{ ...after, unexplained: [...after.unexplained, death].slice(-maxWaiting) }, group]
}

// 128 + SIGKILL.
const sigkillExitCode = 137
