import type { ResourceSample } from '../../agent/model/observation.ts'
import { formatPercent } from '../../agent/lib/format.ts'
import type { Condition } from './condition.ts'
import { slide } from './window.ts'

export type ThrottlingThreshold = { throttled_ratio: number; hold: number }

type Counters = Pick<ResourceSample, 'time' | 'cpu'>

/** The trailing window, oldest sample first, and the throttling within it. */
export type Throttling = {
  firing: boolean
  window: readonly Counters[]
  share: number
  waitedSeconds: number
}

const unthrottled: Throttling = { firing: false, window: [], share: 0, waitedSeconds: 0 }

// It resolves below this fraction of the threshold, so that a share that fluctuates around it is one finding.
const resolveFactor = 0.8
// An idle container that wakes briefly is throttled in most of its few periods, but loses almost no time.
const negligibleWait = 0.01

/** Fires when a container was throttled in more than this share of its scheduling periods, over the whole hold. */
export function throttling(
  before: Throttling,
  { time, cpu }: Counters,
  { throttled_ratio, hold }: ThrottlingThreshold,
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
  const isOver = share < throttled_ratio * resolveFactor
  const firing = before.firing ? !isOver : isThrottled && elapsedMs >= hold
  return { firing, window, share, waitedSeconds }
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
  }
}
