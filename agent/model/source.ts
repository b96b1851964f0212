import type { Observable } from 'rxjs'
import type { Observation, SourceName } from './observation.ts'

/**
 * How a source says that it goes round, and within how many milliseconds it will say so again unless it hangs. One
 * that waits for others, as for the engine's events, promises nothing.
 */
export type Pulse = (nextWithinMs: number) => void

/**
 * Something that sees. It speaks of itself in the same stream (`SourceStatus` when it attaches or changes
 * mode, `EventsLost`), and when it throws, the core says that it is down and starts it again.
 */
export type Source = {
  name: SourceName
  /** Cold: nothing is opened before it is subscribed to, and all is closed when it is unsubscribed from. */
  observe(): Observable<Observation>
}
