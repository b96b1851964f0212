import type { Container } from '../../../model/container.ts'
import type { DockerEvent, ExecObservation } from '../../../model/observation.ts'
import type { ExecInspect } from './exec-inspect.ts'
import { isHealthcheck } from './healthcheck.ts'

/** The exec id of an event; null if it has none, or if an image label takes the attribute's place. */
export function execIdOf({ attributes }: DockerEvent, { labels }: Container): string | null {
  const id = attributes['execID'] ?? ''
  return /^[0-9a-f]{64}$/.test(id) && !Object.hasOwn(labels, 'execID') ? id : null
}

/** Built from the engine's inspect, or else from the event alone. */
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
