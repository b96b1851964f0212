import {
  concat,
  defer,
  EMPTY,
  filter,
  finalize,
  map,
  merge,
  mergeMap,
  type MonoTypeOperatorFunction,
  type Observable,
  of,
  Subject,
  take,
  tap,
  timer,
} from 'rxjs'
import type { AwaitedEvents } from '../findings/superseding-rules.ts'
import type { Detected } from './detected.ts'

export type HoldOptions = {
  /** How long a detection is held, in milliseconds. */
  maxHoldMs?: number
  /** How many detections are held at a time; further ones pass at once, and may become findings of their own. */
  maxHeld?: number
}

/**
 * Holds a detection until the detection that supersedes it has passed, so that the two become one finding whichever
 * detector is faster. All others pass at once, in the same call. No held detection is lost: it passes alone when its
 * time is over or the detections end, and it outlives the run of the detector that made it. A superseding detection
 * that comes later than that is a second finding.
 */
export function holdSuperseded(
  awaitedBy: AwaitedEvents,
  { maxHoldMs = defaultHoldMs, maxHeld = defaultHeld }: HoldOptions = {},
): MonoTypeOperatorFunction<Detected> {
  return (detected$) =>
    defer(() => {
      const passed$ = new Subject<Detected>()
      const ended$ = new Subject<void>()
      let held = 0

      /** The subscriber publishes it before what it supersedes is released. */
      function pass(detected: Detected): Observable<Detected> {
        const announced$ = defer(() => {
          if (held > 0) passed$.next(detected)
          return EMPTY
        })
        return concat(of(detected), announced$)
      }

      function hold(detected: Detected, awaited: ReturnType<AwaitedEvents>): Observable<Detected> {
        held += 1
        const superseding$ = passed$.pipe(filter((other) => isAwaited(other, detected, awaited)))
        return merge(superseding$, ended$, timer(maxHoldMs)).pipe(
          take(1),
          finalize(() => (held -= 1)),
          map(() => detected),
          mergeMap(pass),
        )
      }

      return detected$.pipe(
        tap({ complete: () => ended$.next() }),
        mergeMap((detected) => {
          const awaited = held < maxHeld ? awaitedOrNone(awaitedBy, detected) : []
          return awaited.length === 0 ? pass(detected) : hold(detected, awaited)
        }),
      )
    })
}

// Detectors that report the same act wait equally long for what explains it. Their detections are therefore rarely
// further apart than the delay of a timer on a busy host. An alert that nothing supersedes is delayed no longer than this.
const defaultHoldMs = 2_000

// Entries from outside are rare. The limit is for an intruder who starts processes as fast as possible.
const defaultHeld = 1_000

function isAwaited(
  { detection: { rule, eventKey, container } }: Detected,
  { detection }: Detected,
  awaited: ReturnType<AwaitedEvents>,
): boolean {
  if (container?.id !== detection.container?.id) return false
  return awaited.some((event) => event.eventKey === eventKey && event.rule === rule)
}

/** An error in one detection must not end the stream: the publisher meets the same error, and reports it. */
function awaitedOrNone(awaitedBy: AwaitedEvents, { detector, detection }: Detected) {
  try {
    return awaitedBy(detector, detection)
  } catch {
    return []
  }
}
