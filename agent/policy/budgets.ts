/** Token buckets by name: each holds what it may spend in a minute, and fills again over a minute. */
export type Budgets = {
  /** Whether something is left; `limit` is a minute's worth, `time` in epoch milliseconds. */
  has(name: string, limit: number, time: number): boolean
  /** After `has` said yes. */
  take(name: string): void
  /** Forgets the buckets that are full: they are as good as new. */
  sweep(time: number): void
}

type Bucket = { left: number; limit: number; at: number }

const minuteMs = 60_000
// Names of containers and rules; when an attacker makes more of them within a minute, the oldest begin anew.
const maxBuckets = 20_000

/** Budgets of one kind; a limit that changed holds from then on. */
export function createBudgets(): Budgets {
  const buckets = new Map<string, Bucket>()
  return {
    has(name, limit, time) {
      const bucket = buckets.get(name)
      if (bucket === undefined) {
        if (buckets.size >= maxBuckets) {
          const [oldest] = buckets.keys()
          if (oldest !== undefined) buckets.delete(oldest)
        }
        buckets.set(name, { left: limit, limit, at: time })
        return limit >= 1
      }
      // A clock that was set back fills nothing, and takes nothing away.
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
