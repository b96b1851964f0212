import type { Observable } from 'rxjs'
import type { Observation, SourceName } from './observation.ts'

/**
 * Something that sees. It speaks of itself in the same stream (`SourceStatus` when it attaches or changes
 * mode, `EventsLost`), and when it throws, the core says that it is down and starts it again.
 */
export type Source = {
  name: SourceName
  /** Cold: nothing is opened before it is subscribed to, and all is closed when it is unsubscribed from. */
  observe(): Observable<Observation>
}
