import test from 'ava'
import {
  cpuThrottled,
  type Throttling,
  throttling,
} from '../../../detectors/resource-limit-breach/throttling.ts'
import { sample } from '../../sources/resources/samples.ts'

const threshold = { throttled_ratio: 0.25, hold: 300_000, resolve_hold: 60_000 }
const { start } = cpuThrottled(threshold)

const at = (
  seconds: number,
  periods: number,
  throttledPeriods: number,
  throttledSeconds = throttledPeriods / 10,
) => sample(seconds * 1000, { cpu: { periods, throttledPeriods, throttledSeconds } })

const after = (...samples: ReturnType<typeof at>[]): Throttling =>
  samples.reduce((before, one) => throttling(before, one, threshold), start)

test('exactly a quarter of the periods is not above a quarter', (t) => {
  t.false(after(at(0, 0, 0), at(300, 3_000, 750)).firing)
  t.true(after(at(0, 0, 0), at(300, 3_000, 751)).firing)
})

test('nothing is reported before the hold is over', (t) => {
  t.false(after(at(0, 0, 0), at(299, 2_990, 2_990)).firing)
})

test('throttling before the window does not count', (t) => {
  const now = after(at(0, 0, 0), at(100, 1_000, 1_000), at(400, 4_000, 1_300))
  t.like(now, { firing: false, share: 0.1 })
})

test('bursts between calm samples count by their share of the whole window', (t) => {
  const samples = Array.from({ length: 61 }, (_, index) =>
    at(index * 5, index * 50, Math.floor(index / 2) * 40),
  )
  t.true(after(...samples).firing)
})

test('an idle container throttled in its few periods is not reported', (t) => {
  t.false(after(at(0, 0, 0), at(300, 10, 10, 0.8)).firing)
})

test('an idle container is not throttled', (t) => {
  t.like(after(at(0, 5, 5), at(300, 5, 5)), { firing: false, share: 0 })
})

test('a share that fluctuates around the threshold does not end it; one below it for the whole wait does', (t) => {
  const firing = after(at(0, 0, 0), at(300, 3_000, 760))
  const calm = Array.from({ length: 9 }, (_, index) => at(310 + index * 10, 3_100 + index * 100, 760))
  const through = (samples: typeof calm) =>
    samples.reduce((before, one) => throttling(before, one, threshold), firing)
  t.like(through(calm.slice(0, 1)), { firing: true, wait: { since: 310_000 } })
  t.true(through(calm.slice(0, 6)).firing)
  t.false(through(calm.slice(0, 7)).firing)
  const peak = at(360, 3_600, 1_360)
  t.true(
    through([
      ...calm.slice(0, 5),
      peak,
      ...calm.slice(6).map(({ time }) => at(time / 1000, time / 100, 1_360)),
    ]).firing,
  )
})

test('throttling that costs almost no time ends it too', (t) => {
  const firing = after(at(0, 0, 0), at(300, 3_000, 1_500))
  const idle = Array.from({ length: 9 }, (_, index) =>
    at(620 + index * 10, 3_010 + index, 1_510 + index, 150),
  )
  const ended = idle.reduce((before, one) => throttling(before, one, threshold), firing)
  t.false(ended.firing)
  const { resolution } = cpuThrottled(threshold)
  t.is(resolution(at(700, 0, 0), { ...ended, share: 0.9 }), 'CPU throttled for a negligible time for 1 min')
  t.is(
    resolution(at(700, 0, 0), { ...ended, share: 0.03 }),
    'CPU throttled in at most 25 % of its scheduling periods for 1 min (now 3 %)',
  )
})

test('a new cgroup or a clock that is set back starts a new window', (t) => {
  const before = after(at(0, 0, 0), at(300, 3_000, 900))
  t.like(throttling(before, at(305, 10, 10), threshold), { share: 0, window: [{ time: 305_000 }] })
  t.like(throttling(before, at(10, 3_010, 910), threshold), { share: 0, window: [{ time: 10_000 }] })
})

test('the window keeps its size whatever the interval is', (t) => {
  const samples = Array.from({ length: 3_000 }, (_, second) => at(second, second * 10, second * 9))
  const { window, share } = after(...samples)
  t.true(window.length <= 62)
  t.true(Math.abs(share - 0.9) < 0.001)
  t.true((window[0]?.time ?? 0) <= 2_999_000 - threshold.hold)
})

test('the finding gives the share and the time', (t) => {
  const now = after(at(0, 0, 0), at(300, 3_000, 1_500))
  t.deepEqual(cpuThrottled(threshold).describe(at(300, 3_000, 1_500), null, now), {
    summary: 'web-1: CPU throttled in 50 % of its scheduling periods (last 300 s)',
    evidence: { throttled_ratio: 0.5, throttled_seconds: 150, window_seconds: 300, quota_cores: 1 },
  })
})
