import type { Container } from '../../agent/model/container.ts'
import { formatBytes } from '../../agent/lib/format.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { ContainerObservation, OomVictim, ResourceSample } from '../../agent/model/observation.ts'

/** A detection, and what identifies its victims: the kernel's own records, or the SIGKILLs since a moment. */
export type OomReport = { detection: Detection; victims: readonly OomVictim[] | { since: number } }

/** What is known of kills that are reported together. */
export type Kills = {
  time: number
  container: Container
  count: number
  toldBy: 'kernel' | 'event' | 'counter' | 'exit'
  /** Identifies these kills permanently. */
  act: string
  /** From the last sample before, if there was one. */
  memory: ResourceSample['memory'] | null
  victims: OomReport['victims']
}

/** The container survived the kills. */
export function survived(kills: Kills): OomReport {
  const { time, container, act, count, toldBy, victims } = kills
  const detection: Detection = {
    rule: 'oom-kill',
    time,
    container,
    summary: `${container.name}: out of memory, ${count} ${count === 1 ? 'process' : 'processes'} killed${limitOf(kills)}`,
    subject: [],
    act,
    evidence: { kills: count, told_by: toldBy, ...memoryOf(kills) },
  }
  return { detection, victims }
}

/** The container's first process was killed. */
export function died(
  kill: Pick<Kills, 'time' | 'container' | 'toldBy' | 'memory'>,
  death: Pick<ContainerObservation, 'time' | 'exitCode'>,
): OomReport {
  const { time, container, toldBy } = kill
  const detection: Detection = {
    rule: 'container-oom-killed',
    time,
    container,
    summary: `${container.name} was OOM-killed${limitOf(kill)}`,
    subject: [],
    // A container dies once at a time, whichever facts report it.
    act: `oom:${container.id}:${death.time}`,
    evidence: { exit_code: death.exitCode ?? undefined, told_by: toldBy, ...memoryOf(kill) },
  }
  return { detection, victims: [] }
}

function limitBytes({ memory, container }: Pick<Kills, 'memory' | 'container'>): number | null | undefined {
  return memory?.limitBytes ?? container.details?.limits.memoryBytes
}

function limitOf(kills: Pick<Kills, 'memory' | 'container'>): string {
  const limit = limitBytes(kills)
  return limit == null ? '' : ` (limit ${formatBytes(limit)})`
}

function memoryOf(kills: Pick<Kills, 'memory' | 'container'>) {
  return { limit_bytes: limitBytes(kills), last_working_set_bytes: kills.memory?.workingSetBytes }
}
