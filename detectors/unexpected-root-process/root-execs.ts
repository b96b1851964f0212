import { isRootUser } from '../../agent/model/container.ts'
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

/** Remembers execs by the container: what they leave running may live as long as that. */
export function execLedger(): ExecLedger {
  const byContainer = new Map<string, Execs>()

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
  }

  function ended({ container, execId, time }: ExecEnded): void {
    const known = byContainer.get(container.id)
    const exec = known?.others.get(execId) ?? known?.healthchecks.get(execId)
    if (exec !== undefined) exec.to = time
  }

  function containerChanged({ action, container: { id } }: ContainerObservation): void {
    if (action === 'died' || action === 'removed') byContainer.delete(id)
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

const noEntry: Entry = { byExec: false, asRoot: false, privileged: false }

// Process start times come in clock ticks (10 ms), events in the engine's own time.
const slackMs = 1_000

const maxOthers = 200
const maxHealthchecks = 20
