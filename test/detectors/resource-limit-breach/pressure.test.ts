import test from 'ava'
import { memoryPressure, type Pressure, pressure } from '../../../detectors/resource-limit-breach/pressure.ts'
import { sample } from '../../sources/resources/samples.ts'

const threshold = { ratio: 0.2, resolve_ratio: 0.1, hold: 30_000, resolve_hold: 10_000 }
const { start } = memoryPressure(threshold)

/** The state after samples every five seconds, in which processes waited for these shares of the time. */
const after = (...shares: number[]): Pressure => {
  let someSeconds = 0
  return [0, ...shares].reduce((before, share, index) => {
    someSeconds += share * 5
    return pressure(before, index * 5_000, { someSeconds, fullSeconds: null }, threshold)
  }, start)
}
const times = (count: number, share: number) => Array.from({ length: count }, () => share)

test('a share over the ratio fires once it has lasted for the hold', (t) => {
  t.false(after(...times(6, 0.3)).firing)
  t.true(after(...times(7, 0.3)).firing)
  t.false(after(...times(20, 0.19)).firing)
})

test('one long stall is not pressure, and a calm period restarts the wait', (t) => {
  t.false(after(0, 0, 1, 1, 0, 0, 0, 0).firing)
  t.false(after(...times(5, 0.3), 0, 0, ...times(5, 0.3)).firing)
})

test('it resolves after the whole wait below the lower ratio', (t) => {
  t.true(after(...times(8, 0.3), ...times(20, 0.12)).firing)
  // The average of the last ten seconds falls below it with the second sample.
  t.true(after(...times(8, 0.3), ...times(3, 0.09)).firing)
  t.false(after(...times(8, 0.3), ...times(4, 0.09)).firing)
  t.true(after(...times(8, 0.3), ...times(3, 0.09), 0.3, ...times(3, 0.09)).firing)
})

test('a new cgroup, a clock that is set back and a missing reading restart the measurement', (t) => {
  const firing = after(...times(8, 0.3))
  const restarted = { firing: true, some: null, wait: { reason: 'unmeasured' } }
  t.like(pressure(firing, 45_000, { someSeconds: 0, fullSeconds: 0 }, threshold), restarted)
  t.like(pressure(firing, 1_000, { someSeconds: 99, fullSeconds: 0 }, threshold), restarted)
  t.like(pressure(firing, 45_000, null, threshold), restarted)
})

test('pressure that cannot be measured is not below anything; only a lasting lack of values resolves it', (t) => {
  const missing = (before: Pressure, count: number) =>
    times(count, 0).reduce(
      (state, _, index) => pressure(state, 45_000 + index * 5_000, null, threshold),
      before,
    )
  const below = after(...times(8, 0.3), ...times(3, 0.09))
  t.true(missing(after(...times(8, 0.3)), 2).firing)
  t.false(missing(after(...times(8, 0.3)), 3).firing)
  t.true(missing(below, 2).firing)
  t.is(
    memoryPressure(threshold).resolution(sample(0), start),
    'memory pressure could not be measured for 10 s',
  )
})

test('the finding gives the share of time lost', (t) => {
  const lost = { ...start, firing: true, some: 0.314159, full: 0.2 }
  const now = sample(0, { memory: { workingSetBytes: 900, limitBytes: 1_000, swapBytes: 50 } })
  t.deepEqual(memoryPressure(threshold).describe(now, null, lost), {
    summary: 'web-1: processes waited for memory 31 % of the time',
    evidence: {
      some_ratio: 0.314,
      full_ratio: 0.2,
      working_set_bytes: 900,
      limit_bytes: 1_000,
      swap_bytes: 50,
    },
  })
})

test('a resolution gives the share of time lost now', (t) => {
  const now = memoryPressure(threshold).resolution(sample(0), { ...start, some: 0.03 })
  t.is(now, 'processes waited for memory less than 10 % of the time for 10 s (now 3 %)')
})
