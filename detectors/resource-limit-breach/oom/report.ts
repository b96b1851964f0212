import type { Container } from '../../../agent/model/container.ts'
import { formatBytes } from '../../../agent/lib/format.ts'
import type { Detection } from '../../../agent/model/finding.ts'
import type { ContainerObservation, OomVictim, ResourceSample } from '../../../agent/model/observation.ts'

/** A detection, and what identifies its victims: the kernel's own records, or the SIGKILLs since a point in time. */
export type OomReport = { detection: Detection; victims: readonly OomVictim[] | { since: number } }

/** Kills that are reported together. */
export type Kills = {
  time: number
  container: Container
  count: number
  reportedBy: 'kernel' | 'event' | 'counter' | 'exit'
  /** Identifies these kills permanently. */
  eventKey: string
  /** From the last sample before the kills, if there was one. */
  memory: ResourceSample['memory'] | null
  victims: OomReport['victims']
}

/** The container survived the kills. */
export function survived(kills: Kills): OomReport {
  const { time, container, eventKey, count, reportedBy, victims } = kills
  const detection: Detection = {
    rule: 'oom-kill',
    time,
    container,
    summary: `${container.name}: out of memory, ${count} ${count === 1 ? 'process' : 'processes'} killed${limitOf(kills)}`,
    subject: [limitSubject(kills)],
    eventKey,
    evidence: { kills: count, seen_by: reportedBy, ...memoryOf(kills) },
  }
  return { detection, victims }
}

/** The container's first process was killed. */
export function died(
  kill: Pick<Kills, 'time' | 'container' | 'reportedBy' | 'memory'>,
  death: Pick<ContainerObservation, 'time' | 'exitCode'>,
): OomReport {
  const { time, container, reportedBy } = kill
  const detection: Detection = {
    rule: 'container-oom-killed',
    time,
    container,
    summary: `${container.name} was OOM-killed${limitOf(kill)}`,
    subject: [limitSubject(kill)],
    // A container can die only once at a given time, whichever facts report it.
    eventKey: `oom:${container.id}:${death.time}`,
    evidence: { exit_code: death.exitCode ?? undefined, seen_by: reportedBy, ...memoryOf(kill) },
  }
  return { detection, victims: [] }
}

function limitBytes({ memory, container }: Pick<Kills, 'memory' | 'container'>): number | null | undefined {
  return memory?.limitBytes ?? container.details?.limits.memoryBytes
}

/** The victims' programs are added where they are known: `withVictims`. */
function limitSubject(kills: Pick<Kills, 'memory' | 'container'>): string {
  const limit = limitBytes(kills)
  return limit == null ? 'no memory limit' : `memory limit ${limit}`
}

function limitOf(kills: Pick<Kills, 'memory' | 'container'>): string {
  const limit = limitBytes(kills)
  return limit == null ? '' : ` (limit ${formatBytes(limit)})`
}

function memoryOf(kills: Pick<Kills, 'memory' | 'container'>) {
  return { limit_bytes: limitBytes(kills), last_working_set_bytes: kills.memory?.workingSetBytes }
}
