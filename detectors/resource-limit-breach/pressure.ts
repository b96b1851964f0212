import { formatPercent } from '../../agent/lib/format.ts'
import type { ResourceSample, Stall } from '../../agent/model/observation.ts'
import type { Condition } from './condition.ts'
import { nearLimit, type NearLimit, type Threshold } from './near-limit.ts'
import { continueWait, isWaitOver } from './resolve-wait.ts'
import { forSpan } from './time-span.ts'
import { slide } from './window.ts'

/** `some` and `full` are the shares of the last seconds in which processes waited; null where unknown. */
export type Pressure = NearLimit & {
  window: readonly { time: number; stall: Stall }[]
  some: number | null
  full: number | null
}

const calm: Pressure = { firing: false, since: null, wait: null, window: [], some: null, full: null }

// The kernel's own shortest average (avg10): a single stall is not yet pressure.
const averagedMs = 10_000

/** Fires when processes have waited for more than a share of the time, over the whole hold. */
export function pressure(
  before: Pressure,
  time: number,
  stall: Stall | null,
  threshold: Threshold,
): Pressure {
  if (stall === null) return { ...calm, ...unmeasured(before, time, threshold) }
  const isNewCgroup = stall.someSeconds < (before.window.at(-1)?.stall.someSeconds ?? 0)
  const window = slide(isNewCgroup ? [] : before.window, { time, stall }, averagedMs)
  const base = window[0] ?? { time, stall }
  const seconds = (time - base.time) / 1000
  const share = (now: number | null, then: number | null) =>
    now === null || then === null || seconds === 0 ? null : (now - then) / seconds
  const some = share(stall.someSeconds, base.stall.someSeconds)
  const full = share(stall.fullSeconds, base.stall.fullSeconds)
  const judged =
    some === null ? unmeasured(before, time, threshold) : nearLimit(before, time, some, threshold)
  return { ...judged, window, some, full }
}

/** A value that cannot be measured is not below anything; only a lasting lack of values ends the condition. */
function unmeasured(before: Pressure, time: number, { resolve_hold }: Threshold): NearLimit {
  const notFiring = { firing: false, since: null, wait: null }
  if (!before.firing) return notFiring
  const wait = continueWait(before.wait, time, 'unmeasured')
  return isWaitOver(wait, resolve_hold) ? notFiring : { firing: true, since: before.since, wait }
}

/** Time lost to reclaim and swap: a container short of memory slows down before a process is OOM-killed. */
export function memoryPressure(threshold: Threshold): Condition<Pressure> {
  return {
    rule: 'memory-pressure',
    start: calm,
    judge: (before, sample) => pressure(before, sample.time, sample.pressure.memory, threshold),
    describe: ({ container, memory }: ResourceSample, _, { some, full }) => ({
      summary: `${container.name}: processes waited for memory ${formatPercent(some ?? 0)} of the time`,
      evidence: {
        some_ratio: rounded(some),
        full_ratio: rounded(full),
        working_set_bytes: memory.workingSetBytes,
        limit_bytes: memory.limitBytes,
        swap_bytes: memory.swapBytes,
      },
    }),
    resolution: (_, { some }) => {
      const held = forSpan(threshold.resolve_hold)
      return some === null
        ? `memory pressure could not be measured${held}`
        : `processes waited for memory less than ${formatPercent(threshold.resolve_ratio)} of the time${held} (now ${formatPercent(some)})`
    },
  }
}

function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value * 1000) / 1000
}
