import test from 'ava'
import { tracking, exec, event, settled, at, one, web } from './tracking.ts'

/** A process started by this exec, some time before it was observed. */
const named = (execId: string) => ({ execId, container: web, time: at - 30 })

for (const [ends, more] of [
  ['', { Running: true, Pid: 7 }],
  ['ended 1 3', { Running: false, ExitCode: 3 }],
] as const) {
  test(`an exec that a process names and no event reports is reported: ${ends || 'still running'}`, async (t) => {
    const { tracker, execs, seen, words, later } = tracking()
    execs.set(one, exec(one, ['id'], more))
    tracker.onNamed(named(one))
    t.true(tracker.isBeingInspected(one))
    await later(900)
    t.deepEqual(words(), [])
    await later(200)
    t.deepEqual(words(), ['exec 1 ["id"]', ...(ends === '' ? [] : [ends])])
    t.is(seen[0]?.time, at - 30)
    t.false(tracker.isBeingInspected(one))
    // The late events add only its end.
    tracker.onEvent(event('exec_start', one))
    await settled()
    tracker.onEvent(event('exec_die', one, '', { exitCode: '3' }))
    t.deepEqual(words(), ['exec 1 ["id"]', 'ended 1 3'])
  })
}

test('an exec that a process names is inspected once if its event comes in time', async (t) => {
  const { tracker, execs, words, later, inspected } = tracking()
  execs.set(one, exec(one))
  tracker.onNamed(named(one))
  tracker.onEvent(event('exec_start', one))
  await later(2_000)
  t.deepEqual(words(), ['exec 1 ["id"]'])
  t.false(tracker.isBeingInspected(one))
  t.deepEqual(inspected, [one])
})

test('an exec whose event comes while it is inspected is reported once, and ends with its container', async (t) => {
  const { tracker, execs, words, later, state } = tracking()
  execs.set(one, exec(one, ['id'], { Running: true }))
  tracker.onNamed(named(one))
  state.now += 1_100
  tracker.tick()
  tracker.onEvent(event('exec_create', one))
  await later(0)
  execs.set(one, exec(one, ['id'], { ExitCode: 137 }))
  tracker.onContainer({ ...web, state: 'exited' })
  await later(1_100)
  t.deepEqual(words(), ['exec 1 ["id"]', 'ended 1 137'])
})

for (const [title, answer] of [
  ['that the engine does not know', null],
  ['of another container', { ContainerID: 'def', Running: true }],
  ['that was never started', {}],
] as const) {
  test(`a process that names an exec ${title} belongs to no exec`, async (t) => {
    const { tracker, execs, words, later } = tracking()
    if (answer !== null) execs.set(one, exec(one, ['id'], answer))
    tracker.onNamed(named(one))
    await later(1_100)
    await later(60_000)
    t.deepEqual(words(), [])
    t.false(tracker.isBeingInspected(one))
  })
}

test('an invalid exec id is not inspected, and ids beyond the limit are counted as lost', async (t) => {
  const { tracker, lost, later, inspected } = tracking()
  tracker.onNamed({ ...named('../images'), execId: '../images' })
  for (let number = 0; number < 1_001; number += 1)
    tracker.onNamed(named(number.toString(16).padStart(64, '0')))
  t.deepEqual(lost, ['queue-full'])
  await later(1_100)
  t.is(inspected.length, 1_000)
})
