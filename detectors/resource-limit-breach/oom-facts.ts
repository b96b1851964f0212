import type { Container } from '../../agent/model/container.ts'
import type { ContainerObservation, OomVictim, ResourceSample } from '../../agent/model/observation.ts'
import { isRunning, type Step } from './container-event.ts'
import {
  type Counted,
  countedKills,
  diedBy,
  diedUnreported,
  killsOf,
  type Ledger,
  newRun,
  survivedGroup,
  undecided,
  undecidedByCounter,
} from './oom-ledger.ts'
import { died, type OomReport, survived } from './oom-report.ts'

/** A client asked the engine to kill the container with SIGKILL. */
export type SigkillRequest = { kind: 'sigkill-request'; time: number; container: { id: string } }

export type OomFact = ResourceSample | ContainerObservation | OomVictim | SigkillRequest

type Result = readonly [Ledger, readonly OomReport[]]

/**
 * How long a kill can wait for the fact that decides it, and a death for its event. This is a last resort: it ends the
 * wait where the counter is unreadable and the kernel does not name its victims, or where the engine never reports a
 * death. It is longer than any delay of an engine event that was ever measured.
 */
export const lastResortMs = 120_000

// Only an engine that emits events without end makes more events or deaths wait.
const maxWaiting = 64
// 128 + SIGKILL.
const sigkillExitCode = 137

/**
 * Records one fact in the ledger, and reports the kills that it decides. Several sources report the OOM kills of a
 * container; one kill can appear as
 * - a victim that the kernel names (`oom-victim`; eBPF only),
 * - an increment of the kernel's counter (a sample; `oom_kill`),
 * - an `oom` event of the engine. On a busy host it is seconds late or follows the death. With cgroup v1 there can be
 *   several for one kill (`mem_cgroup_oom_notify()` of mm/memcontrol-v1.c signals that memory ran out, and signals
 *   again while the victim is dying),
 * - a death with exit code 137, with or without the engine's flag `OOMKilled`.
 * They arrive in any order and with any delay, so they are matched by counting, not by time: each fact is matched
 * with one of another kind, and an unmatched fact is a kill of its own.
 *
 * What proves a verdict:
 * - the named victim is the container's first process: the container died; it is another process: the container
 *   survived;
 * - a later sample finds the first process running: the container survived the kills counted before;
 * - a death with an exit code other than 137, or by a SIGKILL that a client requested: the container survived the
 *   kills before;
 * - a death with exit code 137 that no client requested, and a kill that nothing else explains: the container died of
 *   it;
 * - a counter that does not change after an `oom` event: the event belongs to an earlier death, or to no kill.
 */
export const recordFact: Step<Ledger, OomFact | 'deadline', OomReport> = (before, fact) => {
  const [next, reports] = applyFact(before, fact)
  const after = reports.length > 0 ? { ...next, isKillKnown: true } : next
  const isWaiting = undecided(after) > 0 || after.initVictims.length > 0 || after.groupVictims.length > 0
  if (!isWaiting) return [{ ...after, waitingSince: null }, reports]
  if (before.waitingSince !== null && reports.length === 0) return [after, reports]
  const waits = after.waits + 1
  return [{ ...after, waits, waitingSince: waits }, reports]
}

function applyFact(before: Ledger, fact: OomFact | 'deadline'): Result {
  if (fact === 'deadline') return passDeadline(before)
  switch (fact.kind) {
    case 'resources':
      return recordSample(before, fact)
    case 'oom-victim':
      return recordVictim(before, fact)
    case 'sigkill-request':
      return [{ ...before, sigkillRequestedAt: fact.time }, []]
    default:
      return recordObservation(before, fact)
  }
}

function recordObservation(before: Ledger, observation: ContainerObservation): Result {
  const { action, time, container } = observation
  if (action === 'oom') return recordEvent(before, observation)
  if (action === 'seen') {
    const isFlagExplained = isRunning(observation) && container.details?.oomKilled === true
    return [{ ...before, up: isRunning(observation), startedAt: startOf(container), isFlagExplained }, []]
  }
  const isBeforeSample = time < before.sampledAt
  // A replayed death of an earlier run. The death of this run can be older than a sample: the engine reports it late.
  if (action === 'died')
    return isBeforeSample && time < before.startedAt ? [before, []] : recordDeath(before, observation)
  // Its cgroup does not exist yet, and will count from 0.
  if (action === 'created') return [before.up === null ? { ...before, ...newRun } : before, []]
  // A replayed start says nothing about the sampled cgroup.
  if (action !== 'started' || (isBeforeSample && before.up !== false)) return [before, []]
  return recordStart(before, observation)
}

/**
 * A process can be killed before the engine reports the start, so everything after the last death belongs to this run.
 * If the end of the previous run was missed, kills that waited for it are reported now.
 */
function recordStart(before: Ledger, { time, container }: ContainerObservation): Result {
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

function closeMissedRun(before: Ledger, time: number): Result {
  const { events, initVictims } = before
  const isOld = (victim: OomVictim) => victim.time < time
  const [closed, reports] = passDeadline({ ...before, events: [], initVictims: initVictims.filter(isOld) })
  const sigkillRequestedAt = before.sigkillRequestedAt >= time ? before.sigkillRequestedAt : -Infinity
  const newer = initVictims.filter((victim) => !isOld(victim))
  return [{ ...closed, ...newRun, events, initVictims: newer, sigkillRequestedAt, settledAt: time }, reports]
}

function startOf(container: Container): number {
  return container.details?.startedAt ?? 0
}

function recordSample(before: Ledger, sample: ResourceSample): Result {
  const { time, container, memory } = sample
  // Sampled before the end of the run was known.
  if (before.up === false) return [before, []]
  const now = memory.oomKills
  const sampled: Ledger = { ...before, up: true, startedAt: startOf(container), sampledAt: time, memory }
  if (now === null) return [sampled, []]
  const decided = decidedAt(before, now)
  const settled: Ledger = { ...sampled, counter: now, decided }
  const shownBefore = Math.max(0, Math.min(before.counter ?? 0, now) - decided)
  const isNewCgroup = before.counter !== null && now < before.counter
  const more = now - decided - (isNewCgroup ? 0 : shownBefore)
  const [afterSurvived, first] =
    shownBefore > 0 && !isNewCgroup && sample.firstProcess === 'running'
      ? decideCounted(settled, shownBefore)
      : [settled, []]
  const [counted, second] = recordCounted(afterSurvived, more, { time, container, memory: before.memory })
  const isQuiet = undecided(counted) === 0 && counted.groupVictims.length === 0
  const quiet = isQuiet ? { settledAt: time, isKillKnown: false } : {}
  return [{ ...counted, ...quiet }, [...first, ...second]]
}

/**
 * How many of the counted kills are already decided. Before the first sample it is unknown which kills are new: one,
 * if there was an event. A counter that decreased belongs to a new cgroup. A victim that was already dying is named
 * by the kernel but not counted.
 */
function decidedAt({ decided, counter, events }: Ledger, now: number): number {
  if (decided === null) return Math.max(0, now - Math.min(1, events.length))
  return counter !== null && now < counter ? 0 : Math.min(decided, now)
}

/** Matches newly counted kills with events; the remaining events are matched with deaths. */
function recordCounted(before: Ledger, more: number, seen: Omit<Counted, 'reportedBy'>): Result {
  const events = before.events.slice(Math.max(0, more))
  const [event] = before.events
  const after: Ledger = { ...before, events: [] }
  if (more > 0) {
    after.counted ??= {
      ...seen,
      time: event?.time ?? seen.time,
      reportedBy: event === undefined ? 'counter' : 'event',
    }
    // Several kills can share an event, so at most one is awaited.
    if (event === undefined) after.awaitedEvents += 1
  }
  return explainDeaths(after, events)
}

/** Engine events that do not belong to a kill of this run: they belong to earlier deaths, or to no kill. */
function explainDeaths(before: Ledger, events: readonly ContainerObservation[]): Result {
  const [event] = events
  const recent = before.unexplained.filter(
    ({ time }) => event !== undefined && event.time - time <= lastResortMs,
  )
  const explained = recent.slice(0, events.length)
  const unexplained = event === undefined ? before.unexplained : recent.slice(explained.length)
  return [{ ...before, unexplained }, explained.map((death) => diedBy(before, death, 'event'))]
}

function recordEvent(before: Ledger, event: ContainerObservation): Result {
  const { awaitedEvents, events, up } = before
  if (awaitedEvents > 0) return [{ ...before, awaitedEvents: awaitedEvents - 1 }, []]
  if (up !== false) return [{ ...before, events: [...events, event].slice(-maxWaiting) }, []]
  if (before.unexplained.length > 0) return explainDeaths(before, [event])
  if (before.isKillKnown) return [before, []]
  // The container died of something else, so it survived this kill.
  const { time, container } = event
  const kills = { time, container, count: 1, memory: before.memory, reportedBy: 'event' as const }
  const victims = { since: before.settledAt }
  return [before, [survived({ ...kills, eventKey: `oom:${container.id}:${time}`, victims })]]
}

function recordVictim(before: Ledger, victim: OomVictim): Result {
  if (victim.isInit && victim.time <= before.diedAt) return recordLateVictim(before, victim)
  const isCounted = undecidedByCounter(before) > 0
  const [event] = before.events
  const decided = before.decided === null ? null : before.decided + 1
  const after: Ledger = { ...before, decided, isKillKnown: true }
  if (!isCounted) {
    after.events = before.events.slice(1)
    if (event === undefined) after.awaitedEvents += 1
  }
  if (undecidedByCounter(after) === 0) after.counted = null
  if (victim.isInit) return [{ ...after, initVictims: [...after.initVictims, victim].slice(-maxWaiting) }, []]
  if (victim.isGroup)
    return [{ ...after, groupVictims: [...after.groupVictims, victim].slice(-maxWaiting) }, []]
  after.isFlagExplained = true
  return [after, [survived(killsOf(after, [victim]))]]
}

/** The victim arrives after its death: the death is still unexplained, or an event has already explained it. */
function recordLateVictim(before: Ledger, victim: OomVictim): Result {
  const death = before.unexplained.find(({ time }) => time >= victim.time)
  if (death === undefined) return [before, []]
  const unexplained = before.unexplained.filter((one) => one !== death)
  const after: Ledger = { ...before, unexplained, awaitedEvents: before.awaitedEvents + 1 }
  const { container } = death
  return [after, [died({ ...victim, container, reportedBy: 'kernel', memory: before.memory }, death)]]
}

function recordDeath(before: Ledger, death: ContainerObservation): Result {
  const { container, exitCode, time } = death
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

function decideCounted(before: Ledger, count: number): Result {
  const { counted } = before
  if (counted === null) return [before, []]
  const decided = (before.decided ?? 0) + count
  const after: Ledger = { ...before, decided, counted: null, isFlagExplained: true }
  return [after, [survived(countedKills(before, count, counted.container))]]
}

/** No fact decided the waiting kills: the first process is assumed alive, unless the kernel named it. */
function passDeadline(before: Ledger): Result {
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
