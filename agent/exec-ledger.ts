import { isRootUser } from './model/container.ts'
import type { Memory } from './model/detector.ts'
import { type ExecEntry, type ExecView, noEntry } from './model/execs.ts'
import type {
  ContainerObservation,
  DockerEvent,
  ExecEnded,
  ExecObservation,
  Observation,
  ProcessObservation,
} from './model/observation.ts'

/** The ledger with its writing side. */
export type ExecLedger = ExecView & {
  /** Takes note of what concerns execs; to be called before anybody asks about what is observed. */
  observe(observation: Observation): void
}

/**
 * The execs of all containers, for every detector that judges processes. Remembered with the container, because what
 * an exec leaves running may live as long as that. Those going on are kept in the memory too: an engine that was
 * restarted under running containers (live-restore) has forgotten them, and so has a daemon that was.
 */
export function execLedger(memory: Memory): ExecLedger {
  const byContainer = new Map<string, Execs>()
  const endedContainers = new Set<string>()
  // Of containers that went while no daemon ran nobody tells the end.
  for (const key of memory.keys(kept).slice(maxKept)) memory.delete(key)
  for (const key of memory.keys(kept)) of(key.slice(kept.length)).told = readKept(memory.get(key))

  function of(containerId: string): Execs {
    endedContainers.delete(containerId)
    const execs = byContainer.get(containerId) ?? emptyExecs()
    byContainer.set(containerId, execs)
    if (byContainer.size > maxContainers) byContainer.delete(byContainer.keys().next().value ?? '')
    return execs
  }

  function keep(containerId: string): void {
    const goingOn = [...(byContainer.get(containerId)?.told ?? [])].filter(([, { to }]) => to === Infinity)
    if (goingOn.length === 0) memory.delete(kept + containerId)
    else memory.set(kept + containerId, JSON.stringify(goingOn))
  }

  /** The engine's event comes at once; what else it knows of the exec has to be asked for. */
  function announced({ type, action, actorId, attributes, time }: DockerEvent): void {
    if (type !== 'container' || (action !== 'exec_create' && action !== 'exec_start')) return
    const execId = attributes['execID'] ?? ''
    if (!/^[0-9a-f]{64}$/.test(execId)) return
    const execs = of(actorId)
    if (find(execs, execId) === undefined)
      put(execs.announced, execId, { ...unasked, from: time }, maxAnnounced)
  }

  function started({ container, execId, time, settings, healthcheck }: ExecObservation): void {
    const execs = of(container.id)
    const known = find(execs, execId)
    execs.announced.delete(execId)
    const exec: Known = {
      ...unasked,
      from: time,
      entry: known?.entry ?? null,
      to: known?.to ?? Infinity,
      fromBefore: known?.fromBefore ?? false,
      pid: settings?.pid ?? 0,
      isNameless: execId === '',
      // One that nobody could ask about is reported as such; its processes are not reported once more.
      asRoot: settings === null || isRootUser(settings.user),
      privileged: settings === null || settings.privileged,
    }
    const key = execId || `at ${time}`
    if (healthcheck) return put(execs.healthchecks, key, exec, maxHealthchecks)
    put(execs.told, key, exec, maxTold)
    keep(container.id)
  }

  function ended({ container, execId, time }: ExecEnded): void {
    const execs = byContainer.get(container.id)
    const exec = execs && find(execs, execId)
    if (exec === undefined) return
    exec.to = time
    if (execs?.told.has(execId)) keep(container.id)
  }

  /** By its first process an exec is known when the runtime that brought it is long gone. */
  function entered({ container, origin }: ProcessObservation): void {
    if (origin.via !== 'entered' || origin.execId === '') return
    const execs = byContainer.get(container.id)
    const exec = execs && find(execs, origin.execId)
    if (exec === undefined || exec.entry !== null || !wasGoingOn(exec, origin.entry.startedAt)) return
    exec.entry = { pid: origin.entry.pid, startTicks: origin.entry.startTicks }
    if (execs?.told.has(origin.execId)) keep(container.id)
  }

  /** All that is in it ends with it; who entered just before may still have to be judged. */
  function containerEnded({ container: { id }, time }: ContainerObservation): void {
    const execs = byContainer.get(id)
    if (execs === undefined || endedContainers.has(id)) return
    for (const exec of allOf(execs)) exec.to = Math.min(exec.to, time)
    keep(id)
    endedContainers.add(id)
    const [oldest] = endedContainers
    if (endedContainers.size <= maxEndedContainers || oldest === undefined) return
    endedContainers.delete(oldest)
    byContainer.delete(oldest)
  }

  function observe(observation: Observation): void {
    if (observation.kind === 'docker-event') announced(observation)
    else if (observation.kind === 'exec') started(observation)
    else if (observation.kind === 'exec-ended') ended(observation)
    else if (observation.kind === 'process') entered(observation)
    else if (observation.kind === 'container' && ends.has(observation.action)) containerEnded(observation)
  }

  function entryOf({ container, origin }: ProcessObservation): ExecEntry {
    const execs = byContainer.get(container.id)
    if (origin.via !== 'entered' || execs === undefined) return noEntry
    const { execId, entry } = origin
    // An event alone may be believed where no label of the image can speak in the engine's name.
    const isLabelled = Object.hasOwn(container.labels, 'execID')
    const named = isLabelled ? findTold(execs, execId) : find(execs, execId)
    if (named !== undefined && wasGoingOn(named, entry.startedAt)) return entryBy('exec', named)
    const goingOn = [...execs.told.values(), ...execs.healthchecks.values()].filter(
      (exec) => exec.from - slackMs <= entry.startedAt && wasGoingOn(exec, entry.startedAt),
    )
    // Its ancestry may not have been seen, and an image may hide the ids of its execs.
    const own = goingOn.find((exec) => isEntryOf(exec, entry))
    if (own !== undefined) return entryBy('exec', own)
    const candidates = execId === '' ? goingOn.filter((exec) => exec.entry === null) : []
    const likely = candidates.find(({ asRoot }) => asRoot) ?? candidates[0]
    return likely === undefined ? noEntry : entryBy('time', likely)
  }

  return {
    observe,
    entryOf,
    isFromBefore: ({ container, execId }) =>
      byContainer.get(container.id)?.told.get(execId)?.fromBefore === true,
  }
}

/** By id, the oldest first. Health checks apart: they are many, and leave nothing running. */
type Execs = {
  announced: Map<string, Known>
  told: Map<string, Known>
  healthchecks: Map<string, Known>
}

// Times are epoch milliseconds; one that goes on ends at Infinity.
type Known = Omit<ExecEntry, 'by'> & {
  from: number
  to: number
  /** Host pid by the engine; 0 where it did not say. */
  pid: number
  /** Its first process in the container, where the kernel told of it. */
  entry: { pid: number; startTicks: number } | null
  /** A label of the image hides its id. */
  isNameless: boolean
  fromBefore: boolean
}

const unasked: Known = {
  from: 0,
  to: Infinity,
  pid: 0,
  entry: null,
  isNameless: false,
  fromBefore: false,
  asRoot: true,
  privileged: true,
}

function emptyExecs(): Execs {
  return { announced: new Map(), told: new Map(), healthchecks: new Map() }
}

function allOf({ announced, told, healthchecks }: Execs): Known[] {
  return [announced, told, healthchecks].flatMap((execs) => [...execs.values()])
}

function find(execs: Execs, execId: string): Known | undefined {
  return findTold(execs, execId) ?? execs.announced.get(execId)
}

function findTold({ told, healthchecks }: Execs, execId: string): Known | undefined {
  return told.get(execId) ?? healthchecks.get(execId)
}

/** What has ended makes room before what goes on. */
function put(execs: Map<string, Known>, key: string, exec: Known, max: number): void {
  execs.set(key, exec)
  if (execs.size <= max) return
  const [ended] = [...execs].find(([, { to }]) => to !== Infinity) ?? []
  execs.delete(ended ?? execs.keys().next().value ?? '')
}

function entryBy(by: 'exec' | 'time', { asRoot, privileged }: Known): ExecEntry {
  return { by, asRoot, privileged }
}

type Entry = { pid: number; startTicks: number; startedAt: number }

function isEntryOf(exec: Known, { pid, startTicks, startedAt }: Entry): boolean {
  if (exec.entry !== null) return exec.entry.pid === pid && exec.entry.startTicks === startTicks
  return exec.pid === pid || (exec.isNameless && Math.abs(exec.from - startedAt) <= slackMs)
}

/** An id that is used again when its exec has ended is not the engine's doing. */
function wasGoingOn({ to }: Known, time: number): boolean {
  return time <= to + slackMs
}

const ends: ReadonlySet<string> = new Set(['died', 'removed'])

const kept = 'exec/'

/** Infinity, which is when they end, has no JSON; what cannot be read is forgotten. */
function readKept(text: string | null): Map<string, Known> {
  try {
    const execs = JSON.parse(text ?? '[]') as [string, Known][]
    return new Map(execs.map(([id, exec]) => [id, { ...unasked, ...exec, to: Infinity, fromBefore: true }]))
  } catch {
    return new Map()
  }
}

// Process start times come in clock ticks (10 ms), events in the engine's own time.
const slackMs = 1_000

// Of one container; a host has some hundreds of containers at most.
const maxAnnounced = 200
const maxTold = 200
const maxHealthchecks = 20
const maxContainers = 4_096
const maxEndedContainers = 1_000
const maxKept = 1_000
