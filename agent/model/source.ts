import type { Observable } from 'rxjs'
import type { Observation, SourceName } from './observation.ts'

/**
 * A source's heartbeat, and within how many milliseconds the next one follows unless the source hangs. A source that
 * only waits for others, such as for the engine's events, sends none.
 */
export type Pulse = (nextWithinMs: number) => void

/**
 * A source of observations. It reports about itself in the same stream (`SourceStatus` when it attaches or changes
 * mode, `EventsLost`). When it throws, the core reports it as down and restarts it.
 */
export type Source = {
  name: SourceName
  /** Cold: it opens nothing before subscription and closes everything on unsubscription. */
  observe(): Observable<Observation>
}
