import type { Container } from '../../../model/container.ts'
import type { DockerEvent, ExecObservation } from '../../../model/observation.ts'
import type { ExecInspect } from './exec-inspect.ts'
import { isHealthcheck } from './healthcheck.ts'

/** The exec an event speaks of; null where it does not say, or where a label of the image says it instead. */
export function execIdOf({ attributes }: DockerEvent, { labels }: Container): string | null {
  const id = attributes['execID'] ?? ''
  return /^[0-9a-f]{64}$/.test(id) && !Object.hasOwn(labels, 'execID') ? id : null
}

/** What is told of an exec: what the engine knows of it, or else what an event said. */
export function observationOf(
  execId: string,
  container: Container,
  time: number,
  inspect: ExecInspect | null,
  commandLine: string,
): ExecObservation {
  const argv = inspect?.argv ?? [commandLine]
  const settings = inspect?.settings ?? null
  return {
    kind: 'exec',
    time,
    container,
    execId,
    argv,
    exact: inspect !== null,
    settings,
    healthcheck: isHealthcheck(container, argv, settings),
  }
}
