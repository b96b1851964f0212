/** Since when a condition has had a reason to end, without interruption; null while it has none. */
export type ResolveWait<Reason extends string = string> = {
  reason: Reason
  since: number
  /** The last sample, and the time between it and the one before; 0 if that was before the wait. */
  last: number
  step: number
} | null

// A busy host delays samples by some seconds.
const delayMs = 30_000
// `sources.resources.interval` is at most 5 minutes.
const longestStepMs = 330_000

/**
 * Continues the wait for a condition's end, so that a value that keeps rising again is one finding. Nothing is known
 * about a time without samples: after a gap the wait restarts. A gap is much longer than the time between the samples
 * before, which depends on the configuration.
 */
export function continueWait<Reason extends string>(
  before: ResolveWait<Reason>,
  time: number,
  reason: Reason | null,
): ResolveWait<Reason> {
  if (reason === null) return null
  if (before === null || before.reason !== reason) return { reason, since: time, last: time, step: 0 }
  const step = time - before.last
  const isGap = step < 0 || step > longestStepMs || (step > delayMs && step > 2 * before.step)
  return { reason, since: isGap ? time : before.since, last: time, step: Math.max(step, 0) }
}

/** Whether the wait has lasted for the hold. */
export function isWaitOver(wait: ResolveWait, holdMs: number): boolean {
  return wait !== null && wait.last - wait.since >= holdMs
}
