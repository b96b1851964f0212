import test from 'ava'
import { checkSchedule } from '../../../agent/sources/container-masks/schedule.ts'
import { sampleContainer } from '../../support/samples.ts'

const container = (id: string, startedAt = 1, pid = 4) => sampleContainer({ id, details: { startedAt, pid } })

/** Returns the ids that are due and marks them as checked. */
function check(
  schedule: ReturnType<typeof checkSchedule>,
  running: ReturnType<typeof container>[],
  time: number,
  unsettled = false,
) {
  return schedule.due(running, time).map(({ container: { id }, run }) => {
    schedule.checked(run, time, unsettled)
    return id
  })
}

test('a container is checked at once, a second later, and then every five minutes', (t) => {
  const schedule = checkSchedule()
  const times = [0, 250, 500, 750, 1_000, 1_250, 60_000, 300_999, 301_000, 301_250, 601_000]
  const checked = times.filter((time) => check(schedule, [container('a')], time).length > 0)
  t.deepEqual(checked, [0, 1_000, 301_000, 601_000])
})

test('a container whose program has not started is checked again soon', (t) => {
  const schedule = checkSchedule()
  t.deepEqual(check(schedule, [container('a')], 0, true), ['a'])
  t.deepEqual(check(schedule, [container('a')], 250, true), ['a'])
  t.deepEqual(check(schedule, [container('a')], 500), ['a'])
  t.deepEqual(check(schedule, [container('a')], 750), [])
})

test('a restarted container starts over, and a stopped one is forgotten', (t) => {
  const schedule = checkSchedule()
  const [first] = schedule.due([container('a')], 0)
  schedule.checked(first?.run ?? t.fail(), 0, false)
  const [second] = schedule.due([container('a', 2)], 100)
  t.not(second?.run, first?.run)
  // A late check of the previous run must not affect this one.
  schedule.checked(first?.run ?? t.fail(), 100, false)
  t.is(schedule.due([container('a', 2)], 100).length, 1)
  t.deepEqual(check(schedule, [], 200), [])
  t.is(schedule.size, 0)
})

test('a container without details or a process is not due', (t) => {
  const schedule = checkSchedule()
  t.deepEqual(check(schedule, [sampleContainer({ details: null }), container('b', 1, 0)], 0), [])
  t.is(schedule.size, 0)
})

test('thousands of containers take one entry each', (t) => {
  const schedule = checkSchedule()
  const all = Array.from({ length: 5_000 }, (_, index) => container(String(index)))
  t.is(check(schedule, all, 0).length, 5_000)
  t.is(check(schedule, all, 500).length, 0)
  t.is(check(schedule, all.slice(0, 10), 1_000).length, 10)
  t.is(schedule.size, 10)
})
