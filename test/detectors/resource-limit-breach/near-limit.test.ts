import test from 'ava'
import {
  growthPerSecond,
  memoryNearLimit,
  type NearLimit,
  nearLimit,
  pidsNearLimit,
  secondsToLimit,
} from '../../../detectors/resource-limit-breach/near-limit.ts'
import { sample } from '../../sources/resources/samples.ts'

const threshold = { ratio: 0.9, resolve_ratio: 0.8, hold: 30_000 }
const far: NearLimit = { firing: false, since: null }
const near: NearLimit = { firing: true, since: 0 }
const waiting: NearLimit = { firing: false, since: 1_000 }
const mib = 2 ** 20

const steps: [title: string, before: NearLimit, time: number, used: number | null, after: NearLimit][] = [
  ['far stays far', far, 5_000, 0.89, far],
  ['reaching the ratio starts the wait', far, 5_000, 0.9, { firing: false, since: 5_000 }],
  ['a wait continues', waiting, 30_999, 0.95, waiting],
  ['a wait ends in firing', waiting, 31_000, 0.95, { firing: true, since: 1_000 }],
  ['a wait is interrupted', waiting, 31_000, 0.85, far],
  ['it keeps firing between the ratios', near, 60_000, 0.8, near],
  ['firing ends under the lower ratio', near, 60_000, 0.79, far],
  ['removing the limit ends firing', near, 60_000, null, far],
  ['a clock that is set back restarts the wait', waiting, 500, 0.95, { firing: false, since: 500 }],
  ['above the limit counts as near it', waiting, 31_000, 1.7, { firing: true, since: 1_000 }],
]

for (const [title, before, time, used, after] of steps) {
  test(title, (t) => {
    t.deepEqual(nearLimit(before, time, used, threshold), after)
  })
}

test('without a hold the first sample fires', (t) => {
  t.true(nearLimit(far, 7, 0.9, { ...threshold, hold: 0 }).firing)
})

test('the finding gives use, limit, growth and the time until the limit', (t) => {
  const before = sample(0, { memory: { workingSetBytes: 467 * mib, limitBytes: 512 * mib } })
  const now = sample(5_000, { memory: { workingSetBytes: 477 * mib, limitBytes: 512 * mib } })
  t.deepEqual(memoryNearLimit(threshold).describe(now, before, near), {
    summary: 'web-1: memory at 93 % of its limit (477 MiB of 512 MiB)',
    evidence: {
      working_set_bytes: 477 * mib,
      limit_bytes: 512 * mib,
      ratio: 0.932,
      growth_bytes_per_second: 2 * mib,
      seconds_to_limit: 17.5,
    },
  })
})

test('a removed limit is reported', (t) => {
  const now = sample(5_000, { memory: { workingSetBytes: 3 * mib, limitBytes: null }, pids: { limit: null } })
  const memory = memoryNearLimit(threshold).describe(now, null, far).summary
  t.is(memory, 'web-1: no longer has a memory limit (3.0 MiB used)')
  t.is(
    pidsNearLimit(threshold).describe(now, null, far).summary,
    'web-1: no longer has a process limit (process count 1)',
  )
})

test('nothing is near a limit of 0', (t) => {
  t.deepEqual(memoryNearLimit(threshold).judge(far, sample(0, { memory: { limitBytes: 0 } })), far)
})

test('the process count is reported in numbers', (t) => {
  t.deepEqual(pidsNearLimit(threshold).describe(sample(0, { pids: { current: 95 } }), null, near), {
    summary: 'web-1: process count at 95 % of its limit (95 of 100)',
    evidence: { current: 95, limit: 100, ratio: 0.95 },
  })
})

const at = (time: number, workingSetBytes: number) => sample(time, { memory: { workingSetBytes } })

test('growth is known only when time passed, and the time to the limit only when use grows', (t) => {
  t.is(growthPerSecond(at(0, 0), at(2_000, 500)), 250)
  t.is(growthPerSecond(at(0, 500), at(2_000, 0)), -250)
  t.is(growthPerSecond(at(2_000, 0), at(2_000, 500)), null)
  const { memory } = at(0, 900)
  t.is(secondsToLimit(memory, 10), 10)
  t.is(secondsToLimit(memory, 0), null)
  t.is(secondsToLimit(memory, null), null)
  t.is(secondsToLimit({ ...memory, workingSetBytes: 1_100 }, 10), 0)
  t.is(secondsToLimit({ ...memory, limitBytes: null }, 10), null)
})
