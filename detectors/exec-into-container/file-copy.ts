import { filter, map, type Observable, scan, startWith, withLatestFrom } from 'rxjs'
import { type Container, unknownContainer } from '../../agent/model/container.ts'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { ContainerObservation, DockerEvent } from '../../agent/model/observation.ts'
import { unknownCaller } from './caller.ts'

/** `docker cp` in either direction, from the engine's events, which contain neither the path nor the caller. */
export function fileCopies({ on }: Pick<Observed, 'on'>): Observable<Detection> {
  const known$ = on('container').pipe(
    scan(track, new Map<string, Container>()),
    startWith(new Map<string, Container>()),
  )
  return on('docker-event').pipe(
    filter(({ type, action }) => type === 'container' && directions.has(action)),
    withLatestFrom(known$),
    map(([event, known]) => describeCopy(event, known.get(event.actorId) ?? containerOf(event))),
  )
}

// From moby's daemon/archive.go.
const directions: ReadonlyMap<string, 'in' | 'out'> = new Map([
  ['extract-to-dir', 'in'],
  ['archive-path', 'out'],
])

function track(
  known: Map<string, Container>,
  { action, container }: ContainerObservation,
): Map<string, Container> {
  if (action === 'removed') known.delete(container.id)
  else known.set(container.id, container)
  return known
}

/** A container that was not reported yet, from the event's own attributes. */
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
    summary: `${unknownCaller} copied files ${direction === 'in' ? 'into' : 'out of'} ${container.name} (docker cp)`,
    // Neither the path nor the caller is known, so no copy can be shown to repeat another.
    subject: [`docker cp ${direction}`, String(timeNano)],
    eventKey: `${container.id}:${action}:${timeNano}`,
    evidence: { direction },
  }
}
