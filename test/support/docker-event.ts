import type { DockerEvent } from '../../agent/model/observation.ts'

/** An event, by default of the container `abc` named `web`. */
export function dockerEvent(action: string, overrides: Partial<DockerEvent> = {}): DockerEvent {
  const time = overrides.time ?? 1_795_500_000_000
  return {
    kind: 'docker-event',
    timeNano: BigInt(Math.round(time)) * 1_000_000n,
    type: 'container',
    action,
    detail: '',
    actorId: 'abc',
    ...overrides,
    time,
    attributes: { name: 'web', image: 'nginx', ...overrides.attributes },
  }
}
