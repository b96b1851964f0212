import { isRootUser } from '../../agent/model/container.ts'
import type { Memory } from '../../agent/model/detector.ts'
import type {
  ContainerObservation,
  ExecEnded,
  ExecObservation,
  ProcessObservation,
} from '../../agent/model/observation.ts'

/** What an exec of the Docker API explains of a process that entered by it. */
export type Entry = { byExec: boolean; asRoot: boolean; privileged: boolean }

/** The execs of which processes may be, and what rights they entered with. */
export type ExecLedger = {
  started(exec: ExecObservation): void
  ended(exec: ExecEnded): void
  /** With the container's first process all others end. */
  containerChanged(seen: ContainerObservation): void
  entryOf(seen: ProcessObservation): Entry
}

/**
 * Remembers execs by the container: what they leave running may live as long as that. Those going on are kept in the
 * memory too: an engine that was restarted under running containers (live-restore) has forgotten them.
 */
export function execLedger(memory: Memory): ExecLedger {
  const byContainer = new Map<string, Execs>()
  // Of containers that went while no daemon ran nobody tells the end.
  for (const key of memory.keys(kept).slice(maxKept)) memory.delete(key)
  for (const key of memory.keys(kept)) {
    const others = readKept(memory.get(key))
    byContainer.set(key.slice(kept.length), { others, healthchecks: new Map() })
  }

  function keep(containerId: string): void {
    const goingOn = [...(byContainer.get(containerId)?.others ?? [])].filter(([, { to }]) => to === Infinity)
    if (goingOn.length === 0) memory.delete(kept + containerId)
    else memory.set(kept + containerId, JSON.stringify(goingOn))
  }

  function started({ container, execId, time, settings, healthcheck }: ExecObservation): void {
    const known = byContainer.get(container.id) ?? { others: new Map(), healthchecks: new Map() }
    byContainer.set(container.id, known)
    const execs = healthcheck ? known.healthchecks : known.others
    execs.set(execId, {
      from: time,
      to: Infinity,
      byExec: true,
      // One that nobody could ask about is reported as such; its processes are not reported once more.
      asRoot: settings === null || isRootUser(settings.user),
      privileged: settings === null || settings.privileged,
    })
    if (execs.size > (healthcheck ? maxHealthchecks : maxOthers))
      execs.delete(execs.keys().next().value ?? '')
    if (!healthcheck) keep(container.id)
  }

  function ended({ container, execId, time }: ExecEnded): void {
    const known = byContainer.get(container.id)
    const exec = known?.others.get(execId) ?? known?.healthchecks.get(execId)
    if (exec === undefined) return
    exec.to = time
    if (known?.others.has(execId)) keep(container.id)
  }

  function containerChanged({ action, container: { id } }: ContainerObservation): void {
    if (action !== 'died' && action !== 'removed') return
    if (byContainer.delete(id)) keep(id)
  }

  function entryOf({ container: { id }, origin }: ProcessObservation): Entry {
    const known = byContainer.get(id)
    if (origin.via !== 'entered' || known === undefined) return noEntry
    const { others, healthchecks } = known
    if (origin.execId !== '') return others.get(origin.execId) ?? healthchecks.get(origin.execId) ?? noEntry
    const { startedAt } = origin.entry
    const candidates = [...others.values(), ...healthchecks.values()].filter(
      ({ from, to }) => startedAt >= from - slackMs && startedAt <= to + slackMs,
    )
    return candidates.find(({ asRoot }) => asRoot) ?? candidates[0] ?? noEntry
  }

  return { started, ended, containerChanged, entryOf }
}

/** Health checks apart: they are many, and leave nothing running. */
type Execs = { others: Map<string, Known>; healthchecks: Map<string, Known> }

// Times are epoch milliseconds.
type Known = Entry & { from: number; to: number }

const kept = 'exec/'

/** Infinity, which is when they end, has no JSON. */
function readKept(text: string | null): Map<string, Known> {
  try {
    const execs = JSON.parse(text ?? '[]') as [string, Known][]
    return new Map(execs.map(([id, exec]) => [id, { ...exec, to: Infinity }]))
  } catch {
    return new Map()
  }
}

const noEntry: Entry = { byExec: false, asRoot: false, privileged: false }

// Process start times come in clock ticks (10 ms), events in the engine's own time.
const slackMs = 1_000

const maxOthers = 200
const maxKept = 1_000
const maxHealthchecks = 20
