import type { Container } from '../../agent/model/container.ts'
import type { ContainerObservation, OomVictim, ResourceSample } from '../../agent/model/observation.ts'
import { isRunning, type Step } from './moment.ts'
import { died, type Kills, type OomReport, survived } from './oom-report.ts'

/**
 * Joins what several sources report about the OOM kills of one container. One kill shows up as
 * - a victim that the kernel names (`oom-victim`; eBPF only),
 * - one more in the kernel's counter (a sample; `oom_kill`),
 * - an `oom` event of the engine, which on a busy host follows by seconds or comes after the death; with version 1 of
 *   cgroups there may be several for one kill (`mem_cgroup_oom_notify()` of mm/memcontrol-v1.c says that memory ran out,
 *   and does so again while the victim is dying),
 * - a death with exit code 137, perhaps with the engine's flag `OOMKilled`.
 * They arrive in any order and with any delay, so they are joined by counting, not by time: each kind of fact is matched
 * with one of another kind, and what is left over is a kill of its own.
 *
 * What proves a verdict:
 * - the named victim is the container's first process: it dies of it; it is another process: it survives;
 * - a later sample finds the first process running: it survived the kills counted before;
 * - a death with another exit code than 137, or by a SIGKILL that a client asked for: it survived the kills before;
 * - a death with exit code 137 that no client asked for, and a kill that nothing else explains: it died of it;
 * - a counter that does not move after an `oom` event: the event belongs to an earlier death, or to no kill.
 */
export type Ledger = {
  /** Whether the container runs; null while that is unknown. */
  up: boolean | null
  startedAt: number
  /** When it last died. */
  diedAt: number
  /** The counter at the last sample of this run; null before a first value is known. */
  counter: number | null
  sampledAt: number
  memory: ResourceSample['memory'] | null
  /** How many kills of this run were decided, as the counter counts them; null like `counter`. */
  decided: number | null
  /** Kills that the counter shows and nothing decides yet. */
  counted: Counted | null
  /** Events of kills that nothing else has shown yet. */
  events: readonly ContainerObservation[]
  /** Known kills whose event has yet to arrive. */
  awaitedEvents: number
  /** A kill is known that later samples have yet to settle: further events may be about it. */
  isKillKnown: boolean
  /** The named victims that were first processes: their container's death follows. */
  initVictims: readonly OomVictim[]
  /** Victims of the kill of a whole cgroup: one act, decided by whether the first process was among them. */
  groupVictims: readonly OomVictim[]
  /** Deaths by SIGKILL that nothing explains yet. */
  unexplained: readonly ContainerObservation[]
  /** When a client last asked for SIGKILL in this run. */
  askedAt: number
  /** The engine's flag of this run is explained by a kill that the container survived. */
  isFlagExplained: boolean
  /** When all kills were last decided: their victims ended after that. */
  quietAt: number
  /** Grows with each wait for a deciding fact; null while there is none. */
  waitingSince: number | null
  waits: number
}

/** A client asked the engine to end the container by SIGKILL. */
export type SigkillRequest = { kind: 'sigkill-request'; time: number; container: { id: string } }

export type OomFact = ResourceSample | ContainerObservation | OomVictim | SigkillRequest

type Counted = Pick<Kills, 'time' | 'container' | 'memory'> & { toldBy: 'event' | 'counter' }
type Result = readonly [Ledger, readonly OomReport[]]

export const emptyLedger: Ledger = {
  up: null,
  startedAt: 0,
  diedAt: -Infinity,
  counter: null,
  sampledAt: -Infinity,
  memory: null,
  decided: null,
  counted: null,
  events: [],
  awaitedEvents: 0,
  isKillKnown: false,
  initVictims: [],
  groupVictims: [],
  unexplained: [],
  askedAt: -Infinity,
  isFlagExplained: false,
  quietAt: -Infinity,
  waitingSince: null,
  waits: 0,
}

/**
 * How long a kill may wait for the fact that decides it, and a death for its event. Only a last resort: it ends the wait
 * where the counter cannot be read and the kernel does not name its victims, or where the engine never reports a death.
 * It is longer than the engine was ever seen to delay an event.
 */
export const lastResortMs = 120_000

// More events or deaths than these wait only where an engine sends them without end.
const maxWaiting = 64
// 128 + SIGKILL.
const sigkillExitCode = 137

/** Takes one fact into the ledger, and reports the kills that it decides. */
export const recordFact: Step<Ledger, OomFact | 'deadline', OomReport> = (before, fact) => {
  const [next, reports] = factInto(before, fact)
  const after = reports.length > 0 ? { ...next, isKillKnown: true } : next
  const isWaiting = undecided(after) > 0 || after.initVictims.length > 0 || after.groupVictims.length > 0
  if (!isWaiting) return [{ ...after, waitingSince: null }, reports]
  if (before.waitingSince !== null && reports.length === 0) return [after, reports]
  const waits = after.waits + 1
  return [{ ...after, waits, waitingSince: waits }, reports]
}

function factInto(before: Ledger, fact: OomFact | 'deadline'): Result {
  if (fact === 'deadline') return passDeadline(before)
  switch (fact.kind) {
    case 'resources':
      return takeSample(before, fact)
    case 'oom-victim':
      return takeVictim(before, fact)
    case 'sigkill-request':
      return [{ ...before, askedAt: fact.time }, []]
    default:
      return takeObservation(before, fact)
  }
}

function takeObservation(before: Ledger, observation: ContainerObservation): Result {
  const { action, time, container } = observation
  if (action === 'oom') return takeEvent(before, observation)
  if (action === 'seen') {
    const isFlagExplained = isRunning(observation) && container.details?.oomKilled === true
    return [{ ...before, up: isRunning(observation), startedAt: startOf(container), isFlagExplained }, []]
  }
  const isBeforeSample = time < before.sampledAt
  // A replayed end of an earlier run. That of this run may be older than a sample: the engine reports it late.
  if (action === 'died')
    return isBeforeSample && time < before.startedAt ? [before, []] : takeDeath(before, observation)
  // Its cgroup is yet to be made, and counts from 0.
  if (action === 'created') return [before.up === null ? { ...before, ...nextRun } : before, []]
  // A replayed start says nothing about the cgroup that was sampled.
  if (action !== 'started' || (isBeforeSample && before.up !== false)) return [before, []]
  return takeStart(before, observation)
}

/**
 * A process can be killed before the engine reports the start, so what happened after the last death belongs to this
 * run. Where the end of the run before was missed, what waited for it is reported now.
 */
function takeStart(before: Ledger, { time, container }: ContainerObservation): Result {
  const startedAt = startOf(container)
  if (before.up === true && before.startedAt === startedAt) return [before, []]
  const isEndMissed = before.up === true
  const [ended, reports] = isEndMissed ? endMissed(before, time) : [before, []]
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

function endMissed(before: Ledger, time: number): Result {
  const { events, initVictims } = before
  const isOld = (victim: OomVictim) => victim.time < time
  const [closed, reports] = passDeadline({ ...before, events: [], initVictims: initVictims.filter(isOld) })
  const askedAt = before.askedAt >= time ? before.askedAt : -Infinity
  const newer = initVictims.filter((victim) => !isOld(victim))
  return [{ ...closed, ...nextRun, events, initVictims: newer, askedAt, quietAt: time }, reports]
}

/** What belongs to one run of the container, before the next one has begun. */
const nextRun = {
  counter: 0,
  decided: 0,
  counted: null,
  groupVictims: [],
  isFlagExplained: false,
} as const satisfies Partial<Ledger>

function startOf(container: Container): number {
  return container.details?.startedAt ?? 0
}

function takeSample(before: Ledger, sample: ResourceSample): Result {
  const { time, container, memory } = sample
  // Taken before the end of the run was known.
  if (before.up === false) return [before, []]
  const now = memory.oomKills
  const sampled: Ledger = { ...before, up: true, startedAt: startOf(container), sampledAt: time, memory }
  if (now === null) return [sampled, []]
  const decided = decidedAt(before, now)
  const settled: Ledger = { ...sampled, counter: now, decided }
  const shownBefore = Math.max(0, Math.min(before.counter ?? 0, now) - decided)
  const isNewCgroup = before.counter !== null && now < before.counter
  const more = now - decided - (isNewCgroup ? 0 : shownBefore)
  const [survivedOnes, first] =
    shownBefore > 0 && !isNewCgroup && sample.firstProcess === 'running'
      ? decideCounted(settled, shownBefore)
      : [settled, []]
  const [counted, second] = countMore(survivedOnes, more, { time, container, memory: before.memory })
  const isQuiet = undecided(counted) === 0 && counted.groupVictims.length === 0
  const quiet = isQuiet ? { quietAt: time, isKillKnown: false } : {}
  return [{ ...counted, ...quiet }, [...first, ...second]]
}

/**
 * How many kills the counter had counted when those not decided yet began. Before the first sample it is unknown which
 * kills are new: one, if there was an event. A counter that went back belongs to a new cgroup, and a victim that was
 * dying already is named without being counted.
 */
function decidedAt({ decided, counter, events }: Ledger, now: number): number {
  if (decided === null) return Math.max(0, now - Math.min(1, events.length))
  return counter !== null && now < counter ? 0 : Math.min(decided, now)
}

/** Matches kills that the counter shows for the first time with events, and gives back what events are left. */
function countMore(before: Ledger, more: number, seen: Omit<Counted, 'toldBy'>): Result {
  const events = before.events.slice(Math.max(0, more))
  const [event] = before.events
  const after: Ledger = { ...before, events: [] }
  if (more > 0) {
    after.counted ??= {
      ...seen,
      time: event?.time ?? seen.time,
      toldBy: event === undefined ? 'counter' : 'event',
    }
    // Several kills may share an event, so that one is awaited at most.
    if (event === undefined) after.awaitedEvents += 1
  }
  return explainDeaths(after, events)
}

/** The engine's events that are no kills of this run: those of earlier deaths, or of none. */
function explainDeaths(before: Ledger, events: readonly ContainerObservation[]): Result {
  const [event] = events
  const recent = before.unexplained.filter(
    ({ time }) => event !== undefined && event.time - time <= lastResortMs,
  )
  const explained = recent.slice(0, events.length)
  const unexplained = event === undefined ? before.unexplained : recent.slice(explained.length)
  return [{ ...before, unexplained }, explained.map((death) => diedBy(before, death, 'event'))]
}

function takeEvent(before: Ledger, event: ContainerObservation): Result {
  const { awaitedEvents, events, up } = before
  if (awaitedEvents > 0) return [{ ...before, awaitedEvents: awaitedEvents - 1 }, []]
  if (up !== false) return [{ ...before, events: [...events, event].slice(-maxWaiting) }, []]
  if (before.unexplained.length > 0) return explainDeaths(before, [event])
  if (before.isKillKnown) return [before, []]
  // It died of something else, and so survived this kill.
  const { time, container } = event
  const kills = { time, container, count: 1, memory: before.memory, toldBy: 'event' as const }
  const victims = { since: before.quietAt }
  return [before, [survived({ ...kills, act: `oom:${container.id}:${time}`, victims })]]
}

function takeVictim(before: Ledger, victim: OomVictim): Result {
  if (victim.isInit && victim.time <= before.diedAt) return takeLateVictim(before, victim)
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

/** The death was reported before its victim: it still waits for its cause, or an event has given it. */
function takeLateVictim(before: Ledger, victim: OomVictim): Result {
  const death = before.unexplained.find(({ time }) => time >= victim.time)
  if (death === undefined) return [before, []]
  const unexplained = before.unexplained.filter((one) => one !== death)
  const after: Ledger = { ...before, unexplained, awaitedEvents: before.awaitedEvents + 1 }
  const { container } = death
  return [after, [died({ ...victim, container, toldBy: 'kernel', memory: before.memory }, death)]]
}

function survivedGroup(ledger: Ledger): OomReport[] {
  return ledger.groupVictims.length > 0 ? [survived(killsOf(ledger, ledger.groupVictims))] : []
}

function killsOf(ledger: Ledger, victims: readonly OomVictim[]): Kills {
  const [first] = victims
  if (first === undefined) throw new Error('kills without a victim')
  const { time, container, process } = first
  const name = ledger.decided === null ? `${process.startTicks}:${process.pid}` : String(ledger.decided)
  const act = `oom:${container.id}:${ledger.startedAt}:${name}`
  return { time, container, count: victims.length, memory: ledger.memory, toldBy: 'kernel', act, victims }
}

function takeDeath(before: Ledger, death: ContainerObservation): Result {
  const { container, exitCode, time } = death
  // A kill comes before its death: a later victim is the first process of the next run.
  const victim = before.initVictims.find((one) => one.time <= time)
  const askedAt = before.askedAt > time ? before.askedAt : -Infinity
  const down: Ledger = { ...before, ...nextRun, up: false, diedAt: time, events: [], askedAt, quietAt: time }
  const after: Ledger = { ...down, initVictims: before.initVictims.filter((one) => one !== victim) }
  if (victim !== undefined) {
    const left = undecidedByCounter(before)
    const others = left > 0 ? [survived(countedKills(before, left, container))] : []
    return [
      after,
      [...others, died({ ...victim, container, toldBy: 'kernel', memory: before.memory }, death)],
    ]
  }
  const group = survivedGroup(before)
  const wasAsked = before.askedAt > -Infinity && before.askedAt <= time
  const isKilled = exitCode === sigkillExitCode && !wasAsked
  const known = undecided(before)
  if (!isKilled) {
    return [after, known > 0 ? [...group, survived(countedKills(before, known, container))] : group]
  }
  if (known > 0 || before.events.length > 0) {
    const others = known > 1 ? [survived(countedKills(before, known - 1, container))] : []
    return [after, [...group, ...others, diedBy(before, death, before.counted?.toldBy ?? 'event')]]
  }
  if (container.details?.oomKilled === true && !before.isFlagExplained) {
    const awaitedEvents = after.awaitedEvents + 1
    return [{ ...after, awaitedEvents }, [...group, diedBy(before, death, 'exit')]]
  }
  return [{ ...after, unexplained: [...after.unexplained, death].slice(-maxWaiting) }, group]
}

/** The kernel killed the first process, and the engine never reported the death. */
function diedUnreported({ memory }: Ledger, victim: OomVictim): OomReport {
  return died({ ...victim, toldBy: 'kernel', memory }, { time: victim.time, exitCode: null })
}

function diedBy(ledger: Ledger, death: ContainerObservation, toldBy: Kills['toldBy']): OomReport {
  const { counted, memory, events } = ledger
  const time = toldBy === 'counter' ? counted?.time : (events.at(-1) ?? counted)?.time
  // An event that came after the death is not when the kill was.
  const kill = { time: Math.min(time ?? death.time, death.time), container: death.container }
  return died({ ...kill, toldBy, memory: counted?.memory ?? memory }, death)
}

/** Kills of this run that nothing decides yet: those that were counted, or else one if there were events of any. */
function undecided(ledger: Ledger): number {
  const byCounter = undecidedByCounter(ledger)
  return byCounter > 0 || ledger.isKillKnown ? byCounter : Math.min(1, ledger.events.length)
}

function undecidedByCounter({ counter, decided }: Ledger): number {
  return Math.max(0, (counter ?? 0) - (decided ?? counter ?? 0))
}

function decideCounted(before: Ledger, count: number): Result {
  const { counted } = before
  if (counted === null) return [before, []]
  const decided = (before.decided ?? 0) + count
  const after: Ledger = { ...before, decided, counted: null, isFlagExplained: true }
  return [after, [survived(countedKills(before, count, counted.container))]]
}

/** Kills known by the counter or by events. */
function countedKills(ledger: Ledger, count: number, container: Container): Kills {
  const { counted, events, startedAt, quietAt: since } = ledger
  const [event] = events
  const act =
    ledger.decided === null && event !== undefined
      ? `oom:${container.id}:${event.time}`
      : `oom:${container.id}:${startedAt}:${(ledger.decided ?? 0) + count}`
  const time = counted?.time ?? event?.time ?? ledger.sampledAt
  const memory = counted?.memory ?? ledger.memory
  return { time, container, count, toldBy: counted?.toldBy ?? 'event', act, memory, victims: { since } }
}

/** No fact decides what waits: the first process is taken for alive, unless the kernel named it. */
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
