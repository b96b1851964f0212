import type { ResourceSample } from '../../agent/model/observation.ts'
import { formatBytes, formatPercent } from '../../agent/lib/format.ts'
import type { Condition } from './condition.ts'

/** Shares of a limit, and how long the first must be reached. */
export type Threshold = { ratio: number; resolve_ratio: number; hold: number }

/** `since` is when the ratio was reached, without a break until now; null below it. */
export type NearLimit = { firing: boolean; since: number | null }

const notNear: NearLimit = { firing: false, since: null }

/** Near is what reached the ratio and stayed for the hold; far again is what fell under the lower ratio. */
export function nearLimit(
  before: NearLimit,
  time: number,
  used: number | null,
  { ratio, resolve_ratio, hold }: Threshold,
): NearLimit {
  if (used === null) return notNear
  if (before.firing) return used < resolve_ratio ? notNear : before
  if (used < ratio) return notNear
  // A clock that was set back must not hold the condition off until it has caught up.
  const since = Math.min(before.since ?? time, time)
  return { firing: time - since >= hold, since }
}

/** The working set against the memory limit: what the kernel cannot take back is what it kills for. */
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
            ? `${sample.container.name} uses ${used} of memory and has no memory limit any more`
            : `${sample.container.name} uses ${formatPercent(ratio)} of its memory limit (${used} of ${formatBytes(limitBytes)})`,
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
            ? `${container.name} has ${pids.current} processes and no limit any more`
            : `${container.name} has ${pids.current} processes and threads, ${formatPercent(ratio)} of its limit of ${pids.limit}`,
        evidence: { current: pids.current, limit: pids.limit, ratio: rounded(ratio) },
      }
    },
  }
}

/** Null without a limit; nothing can be near a limit of 0. */
function shareOf(used: number, limit: number | null): number | null {
  return limit === null || limit === 0 ? null : used / limit
}

/** Bytes per second from one sample to the next; null where time did not pass. */
export function growthPerSecond(before: ResourceSample, after: ResourceSample): number | null {
  const seconds = (after.time - before.time) / 1000
  return seconds > 0 ? (after.memory.workingSetBytes - before.memory.workingSetBytes) / seconds : null
}

/** When the limit is reached at this growth; null when it never is. */
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
