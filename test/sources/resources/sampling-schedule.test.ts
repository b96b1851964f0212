import test from 'ava'
import { samplingSchedule, shareOfLimits } from '../../../agent/sources/resources/sampling-schedule.ts'
import { container, details, fixtureUsage, sample } from './samples.ts'

const intervals = { intervalMs: 5_000, nearIntervalMs: 1_000, nearRatio: 0.8 }
const web = container({ name: 'web-1' })
const far = sample(0)
const near = sample(0, { memory: { workingSetBytes: 800 } })

test('a container is sampled immediately and then at the interval', (t) => {
  const { due, sampled, tickMs } = samplingSchedule(intervals)
  t.is(tickMs, 1_000)
  t.deepEqual(due([web], 3), [web])
  sampled(web, far, 3)
  for (const tick of [4, 5, 6, 7]) t.deepEqual(due([web], tick), [], String(tick))
  t.deepEqual(due([web], 8), [web])
})

test('a container near a limit is sampled at every tick until it calms down', (t) => {
  const { due, sampled } = samplingSchedule(intervals)
  sampled(web, near, 0)
  t.deepEqual(due([web], 1), [web])
  sampled(web, far, 1)
  t.deepEqual(due([web], 2), [])
})

test('a skipped tick is caught up on', (t) => {
  const { due, sampled } = samplingSchedule(intervals)
  sampled(web, far, 0)
  t.deepEqual(due([web], 100), [web])
})

test('a restarted container counts as new', (t) => {
  const { due, sampled } = samplingSchedule(intervals)
  sampled(web, far, 0)
  const again = { ...web, details: details({ pid: 4343 }) }
  t.deepEqual(due([again], 1), [again])
})

test('a container that exited is forgotten', (t) => {
  const { due, sampled } = samplingSchedule(intervals)
  sampled(web, far, 0)
  due([], 1)
  t.deepEqual(due([web], 2), [web])
})

const ticks: [intervalMs: number, tickMs: number][] = [
  [1_000, 1_000],
  [1_500, 750],
  [300, 300],
  [60_000, 1_000],
]

for (const [intervalMs, tickMs] of ticks) {
  test(`with an interval of ${intervalMs} ms there is a tick every ${tickMs} ms`, (t) => {
    t.is(samplingSchedule({ ...intervals, intervalMs }).tickMs, tickMs)
  })
}

test('the nearest limit counts, and without limits the share is 0', (t) => {
  t.is(shareOfLimits(sample(0, { memory: { workingSetBytes: 300 }, pids: { current: 70 } })), 0.7)
  t.is(shareOfLimits(sample(0, { memory: { limitBytes: null }, pids: { limit: null } })), 0)
  t.is(shareOfLimits(sample(0, { memory: { limitBytes: 0 }, pids: { limit: 0 } })), 0)
  t.true(shareOfLimits(fixtureUsage) < 0.5)
})
