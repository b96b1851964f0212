import test from 'ava'
import { tracking, exec, event, settled, at, one, two, web } from './tracking.ts'

test('an exec is reported at its start, with the data that needs an inspect', async (t) => {
  const { tracker, execs, seen } = tracking()
  const argv = ['sh', '-c', 'echo  a\nb: c']
  execs.set(one, exec(one, argv, { OpenStdin: true }))
  tracker.onEvent(event('exec_create', one, argv.join(' ')))
  await settled()
  t.deepEqual(seen, [])
  tracker.onEvent({ ...event('exec_start', one, argv.join(' ')), time: at + 0.25 })
  t.deepEqual(seen, [
    {
      kind: 'exec',
      time: at + 0.25,
      container: web,
      execId: one,
      argv,
      exact: true,
      settings: { user: 'app', tty: false, openStdin: true, privileged: false, pid: 0 },
      healthcheck: false,
    },
  ])
})

test('a start waits for the inspect, and an end for the start', async (t) => {
  const { tracker, execs, words } = tracking()
  execs.set(one, exec(one))
  for (const action of ['exec_create', 'exec_start', 'exec_die'])
    tracker.onEvent(event(action, one, 'id ', { exitCode: '7' }))
  t.deepEqual(words(), [])
  await settled()
  t.deepEqual(words(), ['exec 1 ["id"]', 'ended 1 7'])
})

test('a health check is recognised', async (t) => {
  const { tracker, execs, seen } = tracking()
  execs.set(one, exec(one, ['check'])).set(two, exec(two, ['check'], { OpenStdin: true }))
  for (const id of [one, two]) tracker.onEvent(event('exec_start', id, 'check '))
  await settled()
  t.deepEqual(
    seen.map((observation) => observation.kind === 'exec' && observation.healthcheck),
    [true, false],
  )
})

test('an exec without a timely inspect is reported once, from its event', async (t) => {
  const { tracker, state, words, later } = tracking()
  state.answers = false
  tracker.onEvent(event('exec_create', one, 'sh -c x y'))
  tracker.onEvent(event('exec_start', one, 'sh -c x y'))
  await later(4_900)
  t.deepEqual(words(), [])
  await later(200)
  await later(10_000)
  t.deepEqual(words(), ['exec 1 ["sh -c x y"] inexact'])
})

for (const [claim, answer] of [
  ['missing', undefined],
  ['unanswered', new Error('no response within 10 s')],
  ['of another container', { ...exec(one), ContainerID: 'other' }],
  ['without a command', { ContainerID: 'abc', ProcessConfig: { entrypoint: 7 } }],
] as const) {
  test(`an exec whose inspect is ${claim} is reported from its event`, async (t) => {
    const { tracker, execs, seen, words } = tracking()
    if (answer !== undefined) execs.set(one, answer)
    tracker.onEvent(event('exec_create', one))
    tracker.onEvent(event('exec_start', one))
    await settled()
    t.deepEqual(words(), ['exec 1 ["id "] inexact'])
    t.like(seen[0], { settings: null, healthcheck: false })
  })
}

test('a failed start ends when the inspect has its exit code', async (t) => {
  const { tracker, execs, seen, words, later } = tracking()
  execs.set(one, exec(one, ['id'], { ExitCode: 126 }))
  tracker.onEvent(event('exec_create', one))
  tracker.onEvent(event('exec_start', one))
  await settled()
  await later(4_900)
  t.is(words().length, 1)
  await later(200)
  t.deepEqual(words().slice(1), ['ended 1 126'])
  t.like(seen.at(-1), { hasFailedToStart: true })
})

for (const [title, answer] of [
  ['had a process', { ExitCode: 127, Pid: 7 }],
  ['ended with another code', { ExitCode: 1, Pid: 0 }],
] as const) {
  test(`an exec that ${title} did not fail to start`, async (t) => {
    const { tracker, execs, seen, later } = tracking()
    execs.set(one, exec(one, ['id'], answer))
    tracker.onEvent(event('exec_start', one))
    await settled()
    await later(5_100)
    t.is(seen.length, 2)
    t.false('hasFailedToStart' in seen[1]!)
  })
}

test('an exec that is still running does not end', async (t) => {
  const { tracker, execs, words, later } = tracking()
  execs.set(one, exec(one, ['id'], { Running: true }))
  tracker.onEvent(event('exec_create', one))
  tracker.onEvent(event('exec_start', one))
  await settled()
  for (let round = 0; round < 5; round += 1) await later(6_000)
  t.is(words().length, 1)
})

test('an exec of which only the end was observed is reported with its end', async (t) => {
  const { tracker, execs, words } = tracking()
  execs.set(one, exec(one, ['id'], { ExitCode: 0 }))
  tracker.onEvent(event('exec_die', one, '', { exitCode: '0' }))
  await settled()
  t.deepEqual(words(), ['exec 1 ["id"]', 'ended 1 0'])
})

test('a label named exitCode does not change the exit code of an exec', async (t) => {
  const labelled = { ...web, labels: { exitCode: '0' } }
  const { tracker, execs, words } = tracking(labelled)
  execs.set(one, exec(one, ['id'], { ExitCode: 42 }))
  for (const action of ['exec_create', 'exec_start', 'exec_die'])
    tracker.onEvent(event(action, one, 'id ', { exitCode: '0' }))
  await settled()
  t.deepEqual(words(), ['exec 1 ["id"]', 'ended 1 42'])
})
