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

const threshold = { ratio: 0.9, resolve_ratio: 0.8, hold: 30_000, resolve_hold: 10_000 }
const far: NearLimit = { firing: false, since: null, wait: null }
const near: NearLimit = { firing: true, since: 0, wait: null }
const waiting: NearLimit = { firing: false, since: 1_000, wait: null }
const below = (since: number, last: number): NearLimit => ({
  ...near,
  wait: { reason: 'below', since, last, step: 5_000 },
})
const mib = 2 ** 20

const steps: [title: string, before: NearLimit, time: number, used: number | null, after: NearLimit][] = [
  ['far stays far', far, 5_000, 0.89, far],
  ['reaching the ratio starts the wait', far, 5_000, 0.9, { firing: false, since: 5_000, wait: null }],
  ['a wait continues', waiting, 30_999, 0.95, waiting],
  ['a wait ends in firing', waiting, 31_000, 0.95, { firing: true, since: 1_000, wait: null }],
  ['a wait is interrupted', waiting, 31_000, 0.85, far],
  ['it keeps firing between the ratios', near, 60_000, 0.8, near],
  [
    'the lower ratio starts the wait for the end',
    near,
    60_000,
    0.79,
    { ...near, wait: { reason: 'below', since: 60_000, last: 60_000, step: 0 } },
  ],
  ['that wait continues', below(60_000, 60_000), 65_000, 0.1, below(60_000, 65_000)],
  ['reaching the lower ratio interrupts it', below(60_000, 65_000), 69_999, 0.8, near],
  ['firing ends after the whole wait', below(60_000, 65_000), 70_000, 0.79, far],
  ['removing the limit ends firing', near, 60_000, null, far],
  [
    'a clock that is set back restarts the wait',
    waiting,
    500,
    0.95,
    { firing: false, since: 500, wait: null },
  ],
  ['above the limit counts as near it', waiting, 31_000, 1.7, { firing: true, since: 1_000, wait: null }],
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

test('without a wait the first sample below the lower ratio resolves', (t) => {
  t.deepEqual(nearLimit(near, 7, 0.79, { ...threshold, resolve_hold: 0 }), far)
})

test('a resolution gives the share, how long the value was below it, and the current value', (t) => {
  const now = sample(0, { memory: { workingSetBytes: 61, limitBytes: 100 }, pids: { current: 3, limit: 10 } })
  const slow = { ...threshold, resolve_hold: 300_000 }
  t.is(memoryNearLimit(slow).resolution(now, far), 'memory below 80 % of the limit for 5 min (now 61 %)')
  t.is(
    pidsNearLimit(threshold).resolution(now, far),
    'process count below 80 % of the limit for 10 s (now 30 %)',
  )
  const atOnce = { ...threshold, resolve_hold: 0 }
  t.is(memoryNearLimit(atOnce).resolution(now, far), 'memory below 80 % of the limit (now 61 %)')
})

test('a removed limit is reported', (t) => {
  const now = sample(5_000, { memory: { workingSetBytes: 3 * mib, limitBytes: null }, pids: { limit: null } })
  const memory = memoryNearLimit(threshold).resolution(now, far)
  t.is(memory, 'the memory limit was removed (3.0 MiB used)')
  t.is(pidsNearLimit(threshold).resolution(now, far), 'the process limit was removed (process count 1)')
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
