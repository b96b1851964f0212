import { BoundedMap } from '../lib/bounded-map.ts'

/** Token buckets by name: each holds one minute's worth of tokens and refills over one minute. */
export type Budgets = {
  /** Whether a token is left; `limit` is tokens per minute, `time` in epoch milliseconds. */
  has(name: string, limit: number, time: number): boolean
  /** Takes a token; call after `has` returned true. */
  take(name: string): void
  /** Removes full buckets, which are the same as new ones. */
  sweep(time: number): void
}

type Bucket = { left: number; limit: number; at: number }

const minuteMs = 60_000
// Buckets are named after containers and rules. If an attacker creates more within a minute, the oldest are reset.
const maxBuckets = 20_000

/** Budgets of one kind; a changed limit takes effect at once. */
export function createBudgets(): Budgets {
  const buckets = new BoundedMap<string, Bucket>(maxBuckets)
  return {
    has(name, limit, time) {
      const bucket = buckets.get(name)
      if (bucket === undefined) {
        buckets.set(name, { left: limit, limit, at: time })
        return limit >= 1
      }
      // A clock that was set back neither adds nor removes tokens.
      const gained = (Math.max(0, time - bucket.at) / minuteMs) * limit
      bucket.left = Math.min(limit, bucket.left + gained)
      bucket.limit = limit
      bucket.at = time
      return bucket.left >= 1
    },
    take(name) {
      const bucket = buckets.get(name)
      if (bucket !== undefined) bucket.left -= 1
    },
    sweep(time) {
      for (const [name, { left, limit, at }] of buckets) {
        if (left + ((time - at) / minuteMs) * limit >= limit) buckets.delete(name)
      }
    },
  }
}
