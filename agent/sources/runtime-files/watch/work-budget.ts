export type WorkBudget = {
  /** Records work that ended at `time` and returns how long to pause before more work. All in milliseconds. */
  spend(workMs: number, time: number): number
}

// Work beyond the reserve may take a fifth of the time.
const reserveMs = 2000
const restPerWork = 4

/** Lets short bursts of work run immediately and limits sustained work to a fifth of a core. */
export function workBudget(): WorkBudget {
  let left = reserveMs
  let last = -Infinity
  return {
    spend(workMs, time) {
      const idleMs = Math.max(0, time - last - workMs)
      left = Math.min(reserveMs, left + idleMs / restPerWork) - workMs
      last = time
      return left >= 0 ? 0 : -left * restPerWork
    },
  }
}
