import type { ResourceSample } from '../../agent/model/observation.ts'
import { formatBytes, formatPercent } from '../../agent/lib/format.ts'
import type { Condition } from './condition.ts'

/** Shares of a limit: it fires at `ratio` after `hold` milliseconds, and resolves below `resolve_ratio`. */
export type Threshold = { ratio: number; resolve_ratio: number; hold: number }

/** `since` is when the ratio was reached, without interruption until now; null below the ratio. */
export type NearLimit = { firing: boolean; since: number | null }

const notNear: NearLimit = { firing: false, since: null }

/** Fires when the ratio has been reached for the whole hold, and resolves below the lower ratio. */
export function nearLimit(
  before: NearLimit,
  time: number,
  used: number | null,
  { ratio, resolve_ratio, hold }: Threshold,
): NearLimit {
  if (used === null) return notNear
  if (before.firing) return used < resolve_ratio ? notNear : before
  if (used < ratio) return notNear
  // A clock that was set back must not delay the condition until it has caught up.
  const since = Math.min(before.since ?? time, time)
  return { firing: time - since >= hold, since }
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
        summary:
          ratio === null || limitBytes === null
            ? `${sample.container.name}: no longer has a memory limit (${used} used)`
            : `${sample.container.name}: memory at ${formatPercent(ratio)} of its limit (${used} of ${formatBytes(limitBytes)})`,
        evidence: {
          working_set_bytes: workingSetBytes,
          limit_bytes: limitBytes,
          ratio: rounded(ratio),
          growth_bytes_per_second: rounded(growth),
          seconds_to_limit: rounded(secondsToLimit(sample.memory, growth)),
        },
      }
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
        summary:
          ratio === null
            ? `${container.name}: no longer has a process limit (process count ${pids.current})`
            : `${container.name}: process count at ${formatPercent(ratio)} of its limit (${pids.current} of ${pids.limit})`,
        evidence: { current: pids.current, limit: pids.limit, ratio: rounded(ratio) },
      }
    },
  }
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
