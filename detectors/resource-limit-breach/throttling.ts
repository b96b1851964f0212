import type { ResourceSample } from '../../agent/model/observation.ts'
import { formatPercent } from '../../agent/lib/format.ts'
import type { Condition } from './condition.ts'
import { continueWait, isWaitOver, type ResolveWait } from './resolve-wait.ts'
import { forSpan } from './time-span.ts'
import { slide } from './window.ts'

export type ThrottlingThreshold = { throttled_ratio: number; hold: number; resolve_hold: number }

type Counters = Pick<ResourceSample, 'time' | 'cpu'>

/** The trailing window, oldest sample first, and the throttling within it. */
export type Throttling = {
  firing: boolean
  wait: ResolveWait
  window: readonly Counters[]
  share: number
  waitedSeconds: number
}

const unthrottled: Throttling = { firing: false, wait: null, window: [], share: 0, waitedSeconds: 0 }

// An idle container that wakes briefly is throttled in most of its few periods, but loses almost no time.
const negligibleWait = 0.01

/**
 * Fires when a container was throttled in more than this share of its scheduling periods, over the whole hold, and
 * resolves when that has not been so for the whole `resolve_hold`.
 */
export function throttling(
  before: Throttling,
  { time, cpu }: Counters,
  { throttled_ratio, hold, resolve_hold }: ThrottlingThreshold,
): Throttling {
  const isNewCgroup = cpu.periods < (before.window.at(-1)?.cpu.periods ?? 0)
  const window = slide(isNewCgroup ? [] : before.window, { time, cpu }, hold)
  const base = window[0]
  if (base === undefined) return unthrottled
  const elapsedMs = time - base.time
  const periods = cpu.periods - base.cpu.periods
  const share = periods === 0 ? 0 : (cpu.throttledPeriods - base.cpu.throttledPeriods) / periods
  const waitedSeconds = cpu.throttledSeconds - base.cpu.throttledSeconds

  const isThrottled = share > throttled_ratio && waitedSeconds > (elapsedMs / 1000) * negligibleWait
  const measured = { window, share, waitedSeconds }
  if (!before.firing) return { firing: isThrottled && elapsedMs >= hold, wait: null, ...measured }
  const wait = continueWait(before.wait, time, isThrottled ? null : 'below')
  return isWaitOver(wait, resolve_hold)
    ? { firing: false, wait: null, ...measured }
    : { firing: true, wait, ...measured }
}

/** CPU time denied by the quota: latency that usage graphs do not show. */
export function cpuThrottled(threshold: ThrottlingThreshold): Condition<Throttling> {
  return {
    rule: 'cpu-throttled',
    start: unthrottled,
    judge: (before, sample) => throttling(before, sample, threshold),
    describe: ({ container, cpu, time }, _, { share, waitedSeconds, window }) => {
      const seconds = Math.round((time - (window[0]?.time ?? time)) / 1000)
      return {
        summary: `${container.name}: CPU throttled in ${formatPercent(share)} of its scheduling periods (last ${seconds} s)`,
        evidence: {
          throttled_ratio: Math.round(share * 1000) / 1000,
          throttled_seconds: Math.round(waitedSeconds * 1000) / 1000,
          window_seconds: seconds,
          quota_cores: cpu.quotaCores,
        },
      }
    },
    resolution: (_, { share }) => {
      const { throttled_ratio, resolve_hold } = threshold
      const held = forSpan(resolve_hold)
      return share > throttled_ratio
        ? `CPU throttled for a negligible time${held}`
        : `CPU throttled in at most ${formatPercent(throttled_ratio)} of its scheduling periods${held} (now ${formatPercent(share)})`
    },
  }
}
