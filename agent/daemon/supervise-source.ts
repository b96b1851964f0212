import type { Observable } from 'rxjs'
import { messageOf } from '../lib/errors.ts'
import type { Observation, SourceName } from '../model/observation.ts'
import type { Source } from '../model/source.ts'
import { supervise } from '../lib/streams.ts'

/** A source that says that it is down when it fails, and tries again. */
export function keptUp({ name, observe }: Source, now: () => number): Observable<Observation> {
  return supervise<Observation>(observe(), (error) => ({
    kind: 'source-status',
    time: now(),
    source: name,
    up: false,
    mode: '',
    best: false,
    reason: messageOf(error),
  }))
}

/** What is told beside a source, and begins anew when it failed, with what it could not tell counted. */
export function besideKeptUp(
  told$: Observable<Observation>,
  source: SourceName,
  reason: string,
  now: () => number,
): Observable<Observation> {
  return supervise(told$, () => ({ kind: 'events-lost', time: now(), source, reason, count: 1 }))
}
