import type { Container } from '../../../agent/model/container.ts'
import type { ContainerObservation, OomVictim, ResourceSample } from '../../../agent/model/observation.ts'
import { died, type Kills, type OomReport, survived } from './report.ts'

/** What is known about the OOM kills of one container, and which of them are undecided. */
export type Ledger = {
  /** Whether the container is running; null while unknown. */
  up: boolean | null
  startedAt: number
  /** When it last died. */
  diedAt: number
  /** The kernel's counter at the last sample of this run; null before the first value. */
  counter: number | null
  sampledAt: number
  memory: ResourceSample['memory'] | null
  /** How many of the kills in `counter` were decided; null like `counter`. */
  decided: number | null
  /** Kills that the counter shows and that are undecided. */
  counted: Counted | null
  /** Engine events of kills that no other fact has shown yet. */
  events: readonly ContainerObservation[]
  /** Known kills whose engine event has not arrived yet. */
  awaitedEvents: number
  /** A kill is known that later samples have not settled yet: further events may belong to it. */
  isKillKnown: boolean
  /** Named victims that were first processes: the container's death follows. */
  initVictims: readonly OomVictim[]
  /** Victims of the kill of a whole cgroup: one event, decided by whether the first process was among them. */
  groupVictims: readonly OomVictim[]
  /** Deaths by SIGKILL that nothing explains yet. */
  unexplained: readonly ContainerObservation[]
  /** When a client last requested SIGKILL in this run. */
  sigkillRequestedAt: number
  /** The engine's flag `OOMKilled` of this run is explained by a kill that the container survived. */
  isFlagExplained: boolean
  /** When all kills were last decided: the victims of later kills ended after that. */
  settledAt: number
  /** Number of the current wait for a deciding fact; null while none is needed. */
  waitingSince: number | null
  waits: number
}

/** The ledger after a fact, and the kills that the fact decided. */
export type Recorded = readonly [Ledger, readonly OomReport[]]

export type Counted = Pick<Kills, 'time' | 'container' | 'memory'> & { reportedBy: 'event' | 'counter' }

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
  sigkillRequestedAt: -Infinity,
  isFlagExplained: false,
  settledAt: -Infinity,
  waitingSince: null,
  waits: 0,
}

/** Resets what belongs to a single run of the container. */
export const newRun = {
  counter: 0,
  decided: 0,
  counted: null,
  groupVictims: [],
  isFlagExplained: false,
} as const satisfies Partial<Ledger>

/** Undecided kills of this run: those that the counter shows, or else one if there were engine events. */
export function undecided(ledger: Ledger): number {
  const byCounter = undecidedByCounter(ledger)
  return byCounter > 0 || ledger.isKillKnown ? byCounter : Math.min(1, ledger.events.length)
}

export function undecidedByCounter({ counter, decided }: Ledger): number {
  return Math.max(0, (counter ?? 0) - (decided ?? counter ?? 0))
}

/** The report of a whole cgroup's kill that the container survived; empty if there is none. */
export function survivedGroup(ledger: Ledger): OomReport[] {
  return ledger.groupVictims.length > 0 ? [survived(killsOf(ledger, ledger.groupVictims))] : []
}

/** Kills whose victims the kernel named. */
export function killsOf(ledger: Ledger, victims: readonly OomVictim[]): Kills {
  const [first] = victims
  if (first === undefined) throw new Error('kills without a victim')
  const { time, container, process } = first
  const name = ledger.decided === null ? `${process.startTicks}:${process.pid}` : String(ledger.decided)
  const eventKey = `oom:${container.id}:${ledger.startedAt}:${name}`
  return {
    time,
    container,
    count: victims.length,
    memory: ledger.memory,
    reportedBy: 'kernel',
    eventKey,
    victims,
  }
}

/** Kills known from the counter or from engine events. */
export function countedKills(ledger: Ledger, count: number, container: Container): Kills {
  const { counted, events, startedAt, settledAt: since } = ledger
  const [event] = events
  const eventKey =
    ledger.decided === null && event !== undefined
      ? `oom:${container.id}:${event.time}`
      : `oom:${container.id}:${startedAt}:${(ledger.decided ?? 0) + count}`
  const time = counted?.time ?? event?.time ?? ledger.sampledAt
  const memory = counted?.memory ?? ledger.memory
  return {
    time,
    container,
    count,
    reportedBy: counted?.reportedBy ?? 'event',
    eventKey,
    memory,
    victims: { since },
  }
}

/** The kernel killed the first process, and the engine never reported the death. */
export function diedUnreported({ memory }: Ledger, victim: OomVictim): OomReport {
  return died({ ...victim, reportedBy: 'kernel', memory }, { time: victim.time, exitCode: null })
}

/** The report of a death, whose kill `reportedBy` shows. */
export function diedBy(
  ledger: Ledger,
  death: ContainerObservation,
  reportedBy: Kills['reportedBy'],
): OomReport {
  const { counted, memory, events } = ledger
  const time = reportedBy === 'counter' ? counted?.time : (events.at(-1) ?? counted)?.time
  // An event after the death does not give the time of the kill.
  const kill = { time: Math.min(time ?? death.time, death.time), container: death.container }
  return died({ ...kill, reportedBy, memory: counted?.memory ?? memory }, death)
}

/** When the engine started this run of the container; 0 if unknown. */
export function startOf(container: Container): number {
  return container.details?.startedAt ?? 0
}
