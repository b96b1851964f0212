import { filter, map, type Observable, scan, startWith, withLatestFrom } from 'rxjs'
import { type Container, unknownContainer } from '../../agent/model/container.ts'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { ContainerObservation, DockerEvent } from '../../agent/model/observation.ts'

/** `docker cp` either way, by the engine's events; these tell neither path nor caller. */
export function fileCopies({
  dockerEvents$,
  containers$,
}: Pick<Observed, 'dockerEvents$' | 'containers$'>): Observable<Detection> {
  const known$ = containers$.pipe(
    scan(keep, new Map<string, Container>()),
    startWith(new Map<string, Container>()),
  )
  return dockerEvents$.pipe(
    filter(({ type, action }) => type === 'container' && directions.has(action)),
    withLatestFrom(known$),
    map(([event, known]) => describeCopy(event, known.get(event.actorId) ?? containerOf(event))),
  )
}

// daemon/archive.go of moby.
const directions: ReadonlyMap<string, 'in' | 'out'> = new Map([
  ['extract-to-dir', 'in'],
  ['archive-path', 'out'],
])

function keep(
  known: Map<string, Container>,
  { action, container }: ContainerObservation,
): Map<string, Container> {
  if (action === 'removed') known.delete(container.id)
  else known.set(container.id, container)
  return known
}

/** What the event itself tells of a container that nobody has told of yet. */
function containerOf({ actorId, attributes }: DockerEvent): Container {
  const { name = '', image = '' } = attributes
  return unknownContainer(actorId, name, image)
}

function describeCopy({ action, time, timeNano }: DockerEvent, container: Container): Detection {
  const direction = directions.get(action) ?? 'in'
  return {
    rule: 'file-copy',
    time,
    container,
    summary: `files were copied ${direction === 'in' ? 'into' : 'out of'} ${container.name}`,
    subject: [direction],
    act: `${container.id}:${action}:${timeNano}`,
    evidence: { direction },
  }
}
