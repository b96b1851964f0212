import { isRootUser } from '../model/container.ts'
import { allOf, type ContainerExecs, find, findTold, noExecs, put } from './container-execs.ts'
import { keptExecs } from './stored-execs.ts'
import {
  entryBy,
  firstOf,
  hadBegun,
  isEntryOf,
  isNamesake,
  isOfRun,
  isOfSession,
  type KnownExec,
  nextLook,
  unasked,
  wasGoingOn,
} from './known-exec.ts'
import type { Memory } from '../model/detector.ts'
import { type ExecEntry, type ExecView, noEntry, type ExecOfSession } from '../model/exec-view.ts'
import type {
  ContainerObservation,
  DockerEvent,
  ExecEnded,
  ExecObservation,
  Observation,
  ProcessObservation,
} from '../model/observation.ts'
import type { ProcessKey } from '../model/process-key.ts'
/** The ledger with its writing side. */
export type ExecLedger = ExecView & {
  /** Takes note of what concerns execs; to be called before anybody asks about what is observed. */
  observe(observation: Observation): void
  /** Which exec a process belongs to that was found, and not seen to come. */
  execOfSession: ExecOfSession
}

/** The processes now living of those that came in with this one. */
export type LeftOf = (entry: ProcessKey) => readonly ProcessKey[]

/**
 * The execs of all containers, for every detector that judges processes. Remembered with the container, because what
 * an exec leaves running may live as long as that. Those going on are kept in the memory too: an engine that was
 * restarted under running containers (live-restore) has forgotten them, and so has a daemon that was.
 */
export function execLedger(
  memory: Memory,
  leftOf: LeftOf = () => [],
  isAskedFor: (execId: string) => boolean = () => false,
): ExecLedger {
  const kept = keptExecs(memory)
  const byContainer = new Map<string, ContainerExecs>()
  // When they ended, the oldest first.
  const endedContainers = new Map<string, number>()
  for (const [containerId, execs] of kept.all()) of(containerId).told = execs

  function of(containerId: string): ContainerExecs {
    const execs = byContainer.get(containerId) ?? noExecs()
    byContainer.set(containerId, execs)
    if (byContainer.size > maxContainers) byContainer.delete(byContainer.keys().next().value ?? '')
    return execs
  }

  /** The engine's event comes at once; what else it knows of the exec has to be asked for. */
  function announced({ type, action, actorId, attributes, time }: DockerEvent): void {
    // What is only created has brought nobody in, and anybody can create what he never starts.
    if (type !== 'container' || action !== 'exec_start') return
    const execId = attributes['execID'] ?? ''
    if (!/^[0-9a-f]{64}$/.test(execId)) return
    const to = endOf(actorId, time)
    const execs = of(actorId)
    if (find(execs, execId) === undefined) put(execs, 'announced', execId, { ...unasked, from: time, to })
  }

  function started({ container, execId, time, settings, healthcheck }: ExecObservation): void {
    const to = endOf(container.id, time)
    const execs = of(container.id)
    const known = find(execs, execId)
    execs.announced.delete(execId)
    const exec: KnownExec = {
      ...unasked,
      from: time,
      entry: known?.entry ?? null,
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
    put(execs, healthcheck ? 'healthchecks' : 'told', key, exec)
    if (!healthcheck && to === Infinity) kept.keep(container.id, execs.told)
  }

  function ended({ container, execId, time }: ExecEnded): void {
    const execs = byContainer.get(container.id)
    const exec = execs && find(execs, execId)
    // An engine is asked again for what it told before we stopped.
    if (exec === undefined || exec.to !== Infinity) return
    exec.to = time
    if (execs?.told.has(execId) !== true) return
    look(container.id, execs, exec, time)
  }

  function look(containerId: string, { told }: ContainerExecs, exec: KnownExec, time: number): void {
    const first = firstOf(exec)
    exec.lookAt = nextLook(exec, time)
    if (first !== null) exec.left = leftOf(first).slice(0, maxLeft)
    kept.keep(containerId, told)
  }

  /** By its first process an exec is known when the runtime that brought it is long gone. */
  function entered({ container, origin, time }: ProcessObservation): void {
    if (origin.via !== 'entered' || origin.execId === '') return
    const execs = byContainer.get(container.id)
    const exec = execs && find(execs, origin.execId)
    if (exec === undefined) return
    if (execs !== undefined && time >= exec.lookAt) look(container.id, execs, exec, time)
    if (exec.entry !== null || !wasGoingOn(exec, origin.entry.startedAt)) return
    exec.entry = { pid: origin.entry.pid, startTicks: origin.entry.startTicks }
    if (execs?.told.has(origin.execId)) kept.keep(container.id, execs.told)
  }

  /** All that is in it ends with it; who entered just before may still have to be judged. */
  function containerEnded({ container: { id }, action, time }: ContainerObservation): void {
    if (action === 'removed' && endedContainers.has(id)) return
    const execs = byContainer.get(id)
    if (execs !== undefined) {
      for (const exec of allOf(execs)) end(exec, time)
      kept.forget(id)
    }
    endedContainers.delete(id)
    endedContainers.set(id, time)
    for (const [gone, at] of endedContainers) {
      if (time - at <= keepEndedMs && endedContainers.size <= maxEndedContainers) break
      endedContainers.delete(gone)
      byContainer.delete(gone)
    }
  }

  /** An engine that is asked about an exec may answer when its container is gone; what is newer than that has begun again. */
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
    else if (observation.kind === 'container' && ends.has(observation.action)) containerEnded(observation)
  }

  function entryOf({ container, origin }: ProcessObservation): ExecEntry {
    const execs = byContainer.get(container.id)
    if (origin.via !== 'entered' || execs === undefined) return noEntry
    const { execId, entry } = origin
    // An event alone may be believed where no label of the image can speak in the engine's name.
    const isLabelled = Object.hasOwn(container.labels, 'execID')
    const named = isLabelled ? findTold(execs, execId) : find(execs, execId)
    const isIts = named !== undefined && wasGoingOn(named, entry.startedAt) && !isNamesake(named, origin)
    if (isIts) return entryBy('exec', named)
    const goingOn = [...execs.told.values(), ...execs.healthchecks.values()].filter(
      (exec) => hadBegun(exec, entry.startedAt) && wasGoingOn(exec, entry.startedAt),
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
    isPending: ({ container, origin }) =>
      origin.via === 'entered' &&
      (byContainer.get(container.id)?.announced.has(origin.execId) === true || isAskedFor(origin.execId)),
    isFromBefore: ({ container, execId }) =>
      byContainer.get(container.id)?.told.get(execId)?.fromBefore === true,
    execOfSession({ containerId, runsSince, process }) {
      const execs = [...(byContainer.get(containerId)?.told ?? [])]
      const [execId, exec] =
        execs.find(([, one]) => isOfRun(one, runsSince) && isOfSession(one, process)) ?? []
      const entry = exec && firstOf(exec)
      return entry && execId ? { execId, entry } : null
    },
  }
}

function end(exec: KnownExec, time: number): void {
  exec.to = Math.min(exec.to, time)
  exec.left = []
  exec.lookAt = Infinity
}

const ends: ReadonlySet<string> = new Set(['died', 'removed'])

const maxContainers = 4_096
const maxEndedContainers = 1_000
// As long as the inventory knows a container that was removed.
const keepEndedMs = 60_000
const maxLeft = 16
