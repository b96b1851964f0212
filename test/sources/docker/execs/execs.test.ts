import test from 'ava'
import type { Container } from '../../../../agent/model/container.ts'
import { at, tracking, exec, event, settled, one, two, web } from './tracking.ts'

test('an exec in an unknown container has the container of its event', async (t) => {
  const { tracker, execs, seen, state, later } = tracking()
  state.container = undefined
  execs.set(one, exec(one))
  tracker.onEvent(event('exec_start', one))
  await later(2_000)
  t.like(seen[0], { exact: true, container: { id: 'abc', name: 'web', details: null } })
})

test('an exec waits until its container is inspected, so that a health check is recognised', async (t) => {
  const { tracker, execs, seen, state } = tracking({ ...web, details: null })
  execs.set(one, exec(one, ['check']))
  tracker.onEvent(event('exec_start', one, 'check '))
  await settled()
  t.is(seen.length, 0)
  state.container = web
  tracker.onContainer(web)
  await settled()
  t.like(seen[0], { healthcheck: true })
})

test('no exec is reported twice, whatever is repeated', async (t) => {
  const { tracker, execs, words } = tracking()
  execs.set(one, exec(one))
  for (let round = 0; round < 2; round += 1) {
    for (const action of ['exec_create', 'exec_start', 'exec_start', 'exec_die', 'exec_die'])
      tracker.onEvent(event(action, one))
    await settled()
  }
  tracker.reconcile({ ...web, details: web.details && { ...web.details, execIds: [one] } })
  await settled()
  t.is(words().length, 2)
})

function listing(...execIds: string[]): Container {
  return { ...web, details: web.details && { ...web.details, execIds } }
}

test('a running exec whose start was missed is reported when containers are compared', async (t) => {
  const { tracker, execs, words, later } = tracking()
  execs.set(one, exec(one, ['top'], { Running: true })).set(two, exec(two, ['never', 'started']))
  tracker.reconcile(listing(one, two))
  await settled()
  await later(1_100)
  t.deepEqual(words(), ['exec 1 ["top"]'])
  tracker.onEvent(event('exec_die', one, '', { exitCode: '1' }))
  t.deepEqual(words().slice(1), ['ended 1 1'])
})

test('a running exec whose start was missed is dated by the start of its process, if that is known', async (t) => {
  for (const [start, expected] of [
    [at - 600_000, { time: at - 600_000, foundAt: at }],
    [undefined, { time: at, foundAt: at }],
    // The pid was reused meanwhile.
    [at + 500, { time: at, foundAt: at }],
  ] as const) {
    const { tracker, execs, starts, seen, later } = tracking()
    execs.set(one, exec(one, ['top'], { Running: true, Pid: 42 }))
    if (start !== undefined) starts.set(42, start)
    tracker.reconcile(listing(one))
    await settled()
    await later(1_100)
    t.like(seen[0], expected)
  }
})

test('an exec whose end was missed ends when containers are compared', async (t) => {
  const { tracker, execs, words, later } = tracking()
  execs.set(one, exec(one, ['top'], { Running: true }))
  tracker.onEvent(event('exec_start', one))
  await settled()
  execs.set(one, exec(one, ['top'], { ExitCode: 4 }))
  tracker.reconcile(listing())
  await later(1_100)
  t.deepEqual(words().slice(1), ['ended 1 4'])
})

test('an engine that has forgotten an exec in a running container does not end it', async (t) => {
  const { tracker, execs, words, state, later } = tracking()
  execs.set(one, exec(one, ['top'], { Running: true }))
  tracker.onEvent(event('exec_start', one))
  await settled()
  execs.clear()
  tracker.reconcile(listing())
  await later(1_100)
  t.is(words().length, 1)
  state.container = { ...web, state: 'exited' }
  tracker.onContainer(state.container)
  await later(1_100)
  t.deepEqual(words().slice(1), ['ended 1 null'])
})

test('an exec ends with its container', async (t) => {
  const { tracker, execs, words, later } = tracking()
  execs.set(one, exec(one, ['top'], { Running: true }))
  tracker.onEvent(event('exec_create', two))
  tracker.onEvent(event('exec_start', one))
  await settled()
  execs.set(one, exec(one, ['top'], { ExitCode: 137 }))
  tracker.onContainer({ ...web, state: 'exited' })
  await later(1_100)
  t.deepEqual(words(), ['exec 1 ["top"]', 'ended 1 137'])
})

test('execs beyond the call queue are reported from their events and counted', async (t) => {
  const { tracker, state, words, lost, later } = tracking(web, { concurrency: 1, limit: 2 })
  state.answers = false
  for (let number = 0; number < 5; number += 1)
    tracker.onEvent(event('exec_start', String(number).padStart(64, '0')))
  t.is(words().length, 2)
  t.deepEqual(lost, ['queue-full', 'queue-full'])
  await later(5_000)
  t.is(words().length, 5)
})

test('execs beyond the limit are still reported, and evicted ones are counted', async (t) => {
  const { tracker, state, seen, lost } = tracking(web, { concurrency: 1, limit: 20_000 })
  state.answers = false
  for (let number = 0; number < 10_010; number += 1)
    tracker.onEvent(event('exec_start', String(number).padStart(64, '0')))
  t.is(seen.length, 10)
  t.is(lost.length, 10)
})
