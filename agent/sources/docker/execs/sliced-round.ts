/** Visits items until a slice of time is used up. True if some are left: call it again immediately. */
export type SlicedRound<T> = (visit: (item: T) => void) => boolean

/**
 * Visits all items, over as many calls as it takes: each call continues where the last one stopped. After a burst there
 * are thousands of items, and the event loop is shared with the rest of the daemon.
 */
export function createSlicedRound<T>(items: () => Iterable<T>, sliceMs = defaultSliceMs): SlicedRound<T> {
  let round: Iterator<T> | undefined
  return (visit) => {
    const sliceEndsAt = performance.now() + sliceMs
    round ??= items()[Symbol.iterator]()
    for (let next = round.next(); ; next = round.next()) {
      if (next.done === true) {
        round = undefined
        return false
      }
      visit(next.value)
      if (performance.now() > sliceEndsAt) return true
    }
  }
}

const defaultSliceMs = 5
