import { BoundedMap } from '../lib/bounded-map.ts'
import { isRootUser } from '../model/container.ts'
import { addExec, allExecs, type ContainerExecs, findExec, findReported, noExecs } from './container-execs.ts'
import { earlyEntries } from './early-entries.ts'
import { execFactsById } from './exec-facts.ts'
import { storedExecs } from './stored-execs.ts'
import {
  entryBy,
  firstProcessOf,
  hadStarted,
  isEntryOf,
  isImpostor,
  isInSession,
  isOfRun,
  type KnownExec,
  nextScanAt,
  uninspectedExec,
  wasRunning,
} from './known-exec.ts'
import type { Memory } from '../model/detector.ts'
import { type ExecEntry, type ExecView, noEntry, type ExecOfSession } from '../model/exec-view.ts'
import type {
  ContainerObservation,
  DockerEvent,
  ExecCaller,
  ExecEnded,
  ExecObservation,
  Observation,
  ProcessObservation,
} from '../model/observation.ts'
import type { ProcessKey } from '../model/process-key.ts'

/** The ledger with its writing side. */
export type ExecLedger = ExecView & {
  /**
   * Records exec data from an observation. Call it before the detectors query the ledger about the same observation.
   */
  observe(observation: Observation): void
  /** The exec of a process whose entry was not observed. */
  execOfSession: ExecOfSession
}

/** The processes still running of those that entered with this one. */
export type LeftOf = (entry: ProcessKey) => readonly ProcessKey[]

/**
 * The execs of all containers, for every detector that judges processes. They are remembered as long as the
 * container, because a process that an exec leaves running may run that long. Running execs are also stored: an
 * engine restarted under running containers (live-restore) has forgotten them, and so has a restarted daemon.
 */
export function execLedger(
  memory: Memory,
  leftOf: LeftOf = () => [],
  isBeingInspected: (execId: string) => boolean = () => false,
): ExecLedger {
  const stored = storedExecs(memory)
  const facts = execFactsById()
  const early = earlyEntries()
  const byContainer = new BoundedMap<string, ContainerExecs>(maxContainers)
  // When they ended, oldest first.
  const endedContainers = new Map<string, number>()
  for (const [containerId, execs] of stored.all()) of(containerId).reported = execs

  function of(containerId: string): ContainerExecs {
    const execs = byContainer.get(containerId) ?? noExecs()
    byContainer.set(containerId, execs)
    return execs
  }

  /** The engine's event comes immediately; the rest of what the engine knows needs an inspect. */
  function announced({ type, action, actorId, attributes, time }: DockerEvent): void {
    // An exec that was only created has no process, and a client can create execs that it never starts.
    if (type !== 'container' || action !== 'exec_start') return
    const execId = attributes['execID'] ?? ''
    if (!/^[0-9a-f]{64}$/.test(execId)) return
    const to = endOf(actorId, time)
    const execs = of(actorId)
    if (findExec(execs, execId) !== undefined) return
    const entry = early.take(actorId, execId, { from: time })
    addExec(execs, 'announced', execId, { ...uninspectedExec, from: time, to, entry })
  }

  function started({ container, execId, time, settings, healthcheck }: ExecObservation): void {
    const to = endOf(container.id, time)
    const execs = of(container.id)
    const known = findExec(execs, execId)
    execs.announced.delete(execId)
    const exec: KnownExec = {
      ...uninspectedExec,
      from: time,
      entry: known?.entry ?? early.take(container.id, execId, { from: time }),
      to: Math.min(known?.to ?? Infinity, to),
      left: known?.left ?? [],
      lookAt: known?.lookAt ?? Infinity,
      fromBefore: known?.fromBefore ?? false,
      pid: settings?.pid ?? 0,
      isNameless: execId === '',
      asRoot: settings === null || isRootUser(settings.user),
      privileged: settings === null || settings.privileged,
    }
    const key = execId || `at ${time}`
    addExec(execs, healthcheck ? 'healthchecks' : 'reported', key, exec)
    if (!healthcheck && to === Infinity) stored.save(container.id, execs.reported)
  }

  function ended({ container, execId, time }: ExecEnded): void {
    const execs = byContainer.get(container.id)
    const exec = execs && findExec(execs, execId)
    // After a restart the engine's events from before are read again.
    if (exec === undefined || exec.to !== Infinity) return
    exec.to = time
    if (execs?.reported.has(execId) !== true) return
    scanLeft(container.id, execs, exec, time)
  }

  function scanLeft(containerId: string, { reported }: ContainerExecs, exec: KnownExec, time: number): void {
    const first = firstProcessOf(exec)
    exec.lookAt = nextScanAt(exec, time)
    if (first !== null) exec.left = leftOf(first).slice(0, maxLeft)
    stored.save(containerId, reported)
  }

  /** Its first process identifies an exec after the runtime that started it has exited. */
  function entered({ container, origin, time }: ProcessObservation): void {
    if (origin.via !== 'entered' || origin.execId === '') return
    const execs = byContainer.get(container.id)
    const exec = execs && findExec(execs, origin.execId)
    if (exec === undefined) return early.record(container.id, origin)
    if (execs !== undefined && time >= exec.lookAt) scanLeft(container.id, execs, exec, time)
    if (
      exec.entry !== null ||
      !wasRunning(exec, origin.entry.startedAt) ||
      !hadStarted(exec, origin.entry.startedAt)
    )
      return
    exec.entry = { pid: origin.entry.pid, startTicks: origin.entry.startTicks }
    if (execs?.reported.has(origin.execId)) stored.save(container.id, execs.reported)
  }

  /**
   * All its execs end with it. They are kept for a while: a process that entered just before may still have to be
   * judged.
   */
  function containerEnded({ container: { id }, action, time }: ContainerObservation): void {
    if (action === 'removed' && endedContainers.has(id)) return
    const execs = byContainer.get(id)
    if (execs !== undefined) {
      for (const exec of allExecs(execs)) end(exec, time)
      stored.forget(id)
    }
    endedContainers.delete(id)
    endedContainers.set(id, time)
    for (const [endedId, at] of endedContainers) {
      if (time - at <= keepEndedMs && endedContainers.size <= maxEndedContainers) break
      endedContainers.delete(endedId)
      byContainer.delete(endedId)
    }
  }

  /**
   * The end time of a newly reported exec: that of its container, if the report arrives after the container ended. A
   * newer exec belongs to a restarted container.
   */
  function endOf(containerId: string, time: number): number {
    const at = endedContainers.get(containerId) ?? Infinity
    if (time <= at) return at
    endedContainers.delete(containerId)
    return Infinity
  }

  function observe(observation: Observation): void {
    if (observation.kind === 'docker-event') announced(observation)
    else if (observation.kind === 'exec') started(observation)
    else if (observation.kind === 'exec-ended') ended(observation)
    else if (observation.kind === 'process') entered(observation)
    else if (observation.kind === 'container' && endActions.has(observation.action))
      containerEnded(observation)
    if (observation.kind !== 'exec-caller' || !addsNothing(observation)) facts.record(observation)
  }

  /** The earlier run of the daemon reported this exec, with its caller if that was seen. */
  function addsNothing({ container, execId, caller }: ExecCaller): boolean {
    const exec = byContainer.get(container.id)?.reported.get(execId)
    return caller.client !== 'seen' && exec?.fromBefore === true
  }

  function entryOf({ container, origin }: ProcessObservation): ExecEntry {
    const execs = byContainer.get(container.id)
    if (origin.via !== 'entered' || execs === undefined) return noEntry
    const { execId, entry } = origin
    // An event alone is trusted only if no image label can replace the engine's own attribute.
    const isLabelled = Object.hasOwn(container.labels, 'execID')
    const named = isLabelled ? findReported(execs, execId) : findExec(execs, execId)
    const isMatch = named !== undefined && wasRunning(named, entry.startedAt) && !isImpostor(named, origin)
    if (isMatch) return entryBy('exec', named)
    const running = [...execs.reported.values(), ...execs.healthchecks.values()].filter(
      (exec) => hadStarted(exec, entry.startedAt) && wasRunning(exec, entry.startedAt),
    )
    // Its ancestry may not have been observed, and an image may hide the ids of its execs.
    const own = running.find((exec) => isEntryOf(exec, entry))
    if (own !== undefined) return entryBy('exec', own)
    const candidates = execId === '' ? running.filter((exec) => exec.entry === null) : []
    const likely = candidates.find(({ asRoot }) => asRoot) ?? candidates[0]
    return likely === undefined ? noEntry : entryBy('time', likely)
  }

  return {
    observe,
    factsOf: facts.of,
    entryOf,
    isPending: ({ container, origin }) =>
      origin.via === 'entered' &&
      (byContainer.get(container.id)?.announced.has(origin.execId) === true ||
        isBeingInspected(origin.execId)),
    execOfSession({ containerId, runsSince, process }) {
      const execs = [...(byContainer.get(containerId)?.reported ?? [])]
      const [execId, exec] =
        execs.find(([, one]) => isOfRun(one, runsSince) && isInSession(one, process)) ?? []
      const entry = exec && firstProcessOf(exec)
      return entry && execId ? { execId, entry } : null
    },
  }
}

function end(exec: KnownExec, time: number): void {
  exec.to = Math.min(exec.to, time)
  exec.left = []
  exec.lookAt = Infinity
}

const endActions: ReadonlySet<string> = new Set(['died', 'removed'])

const maxContainers = 4_096
const maxEndedContainers = 1_000
// As long as the inventory remembers a removed container.
const keepEndedMs = 60_000
const maxLeft = 16
