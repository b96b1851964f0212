import type { Observable } from 'rxjs'
import { messageOf } from '../lib/errors.ts'
import type { Observation, SourceName } from '../model/observation.ts'
import type { Source } from '../model/source.ts'
import { supervise } from '../lib/streams.ts'
import { eventsLost, sourceDown } from '../model/source-reports.ts'

/** Reports a failed source as down, and restarts it. */
export function superviseSource({ name, observe }: Source, now: () => number): Observable<Observation> {
  return supervise<Observation>(observe(), (error) => sourceDown(name, now(), messageOf(error)))
}

/** Restarts a stream that has no source of its own when it fails, and counts the failure as lost events. */
export function superviseStream(
  observations$: Observable<Observation>,
  source: SourceName,
  reason: string,
  now: () => number,
): Observable<Observation> {
  return supervise(observations$, () => eventsLost(source, now(), reason))
}
