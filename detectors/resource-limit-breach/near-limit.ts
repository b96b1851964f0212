import type { ResourceSample } from '../../agent/model/observation.ts'
import { formatBytes, formatPercent } from '../../agent/lib/format.ts'
import type { Condition } from './condition.ts'
import { continueWait, isWaitOver, type ResolveWait } from './resolve-wait.ts'
import { forSpan } from './time-span.ts'

/**
 * Shares of a limit: it fires at `ratio` after `hold` milliseconds, and resolves after `resolve_hold` milliseconds below
 * `resolve_ratio`.
 */
export type Threshold = { ratio: number; resolve_ratio: number; hold: number; resolve_hold: number }

/** `since` is when the ratio was reached, without interruption until now; null below the ratio. */
export type NearLimit = { firing: boolean; since: number | null; wait: ResolveWait }

const notNear: NearLimit = { firing: false, since: null, wait: null }

/**
 * Fires when the ratio has been reached for the whole hold, and resolves when the share has been below the lower ratio
 * for the whole `resolve_hold`, or at once when there is no limit any more (null).
 */
export function nearLimit(
  before: NearLimit,
  time: number,
  used: number | null,
  { ratio, resolve_ratio, hold, resolve_hold }: Threshold,
): NearLimit {
  if (used === null) return notNear
  if (before.firing) {
    const wait = continueWait(before.wait, time, used < resolve_ratio ? 'below' : null)
    return isWaitOver(wait, resolve_hold) ? notNear : { ...before, wait }
  }
  if (used < ratio) return notNear
  // A clock that was set back must not delay the condition until it has caught up.
  const since = Math.min(before.since ?? time, time)
  return { firing: time - since >= hold, since, wait: null }
}

/** The working set against the memory limit: memory that the kernel cannot reclaim leads to an OOM kill. */
export function memoryNearLimit(threshold: Threshold): Condition<NearLimit> {
  return {
    rule: 'memory-near-limit',
    start: notNear,
    judge: (before, { time, memory }) =>
      nearLimit(before, time, shareOf(memory.workingSetBytes, memory.limitBytes), threshold),
    describe: (sample, before) => {
      const { workingSetBytes, limitBytes } = sample.memory
      const growth = before === null ? null : growthPerSecond(before, sample)
      const ratio = shareOf(workingSetBytes, limitBytes)
      const used = formatBytes(workingSetBytes)
      return {
        summary: `${sample.container.name}: memory at ${formatPercent(ratio ?? 0)} of its limit (${used} of ${formatBytes(limitBytes ?? 0)})`,
        evidence: {
          working_set_bytes: workingSetBytes,
          limit_bytes: limitBytes,
          ratio: rounded(ratio),
          growth_bytes_per_second: rounded(growth),
          seconds_to_limit: rounded(secondsToLimit(sample.memory, growth)),
        },
      }
    },
    resolution: ({ memory: { workingSetBytes, limitBytes } }) => {
      const ratio = shareOf(workingSetBytes, limitBytes)
      return ratio === null
        ? `the memory limit was removed (${formatBytes(workingSetBytes)} used)`
        : `memory ${belowPhrase(ratio, threshold)}`
    },
  }
}

/** Processes and threads against their limit: at the limit every fork fails. */
export function pidsNearLimit(threshold: Threshold): Condition<NearLimit> {
  return {
    rule: 'pids-near-limit',
    start: notNear,
    judge: (before, { time, pids }) => nearLimit(before, time, shareOf(pids.current, pids.limit), threshold),
    describe: ({ container, pids }) => {
      const ratio = shareOf(pids.current, pids.limit)
      return {
        summary: `${container.name}: process count at ${formatPercent(ratio ?? 0)} of its limit (${pids.current} of ${pids.limit})`,
        evidence: { current: pids.current, limit: pids.limit, ratio: rounded(ratio) },
      }
    },
    resolution: ({ pids }) => {
      const ratio = shareOf(pids.current, pids.limit)
      return ratio === null
        ? `the process limit was removed (process count ${pids.current})`
        : `process count ${belowPhrase(ratio, threshold)}`
    },
  }
}

function belowPhrase(ratio: number, { resolve_ratio, resolve_hold }: Threshold): string {
  return `below ${formatPercent(resolve_ratio)} of the limit${forSpan(resolve_hold)} (now ${formatPercent(ratio)})`
}

/** Null without a limit, and for a limit of 0, which nothing can be near. */
function shareOf(used: number, limit: number | null): number | null {
  return limit === null || limit === 0 ? null : used / limit
}

/** Bytes per second from one sample to the next; null if no time passed. */
export function growthPerSecond(before: ResourceSample, after: ResourceSample): number | null {
  const seconds = (after.time - before.time) / 1000
  return seconds > 0 ? (after.memory.workingSetBytes - before.memory.workingSetBytes) / seconds : null
}

/** Seconds until the limit is reached at this growth; null if it is never reached. */
export function secondsToLimit(
  { workingSetBytes, limitBytes }: ResourceSample['memory'],
  growth: number | null,
): number | null {
  if (limitBytes === null || growth === null || growth <= 0) return null
  return Math.max(0, limitBytes - workingSetBytes) / growth
}

function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value * 1000) / 1000
}
