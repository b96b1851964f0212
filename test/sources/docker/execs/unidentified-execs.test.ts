import test from 'ava'
import { containerOfInspect } from '../../../../agent/sources/docker/inventory/identity.ts'
import { dockerEvent } from '../../../support/docker-event.ts'
import { tracking, exec, event, settled, one, two } from './tracking.ts'

const mislabelled = containerOfInspect({
  Id: 'abc',
  Name: '/web',
  State: { Status: 'running' },
  Config: { Labels: { execID: 'f'.repeat(64), exitCode: '0' } },
})
const forged = { execID: 'f'.repeat(64), exitCode: '0' }

test('a label named execID hides no exec: it is found by listing', async (t) => {
  const { tracker, execs, execIds, words, later } = tracking(mislabelled)
  for (const [id, argv] of [
    [one, ['sh', '-c', 'x']],
    [two, ['id']],
  ] as const) {
    execs.set(id, exec(id, [...argv]))
    execIds.push(id)
    tracker.onEvent(event('exec_create', '', `${argv[0]} ${argv.slice(1).join(' ')}`, forged))
  }
  tracker.onEvent(event('exec_start', '', 'id ', forged))
  await settled()
  tracker.onEvent(event('exec_start', '', 'sh -c x', forged))
  t.deepEqual(words(), ['exec 2 ["id"]', 'exec 1 ["sh","-c","x"]'])
  execs.set(two, exec(two, ['id'], { ExitCode: 9 })).set(one, exec(one, ['sh'], { Running: true }))
  tracker.onEvent(event('exec_die', '', '', forged))
  await settled()
  await later(2_000)
  t.deepEqual(words().slice(2), ['ended 2 9'])
})

test('a label that hides an exec is recognised even if the exec starts before the container is known', async (t) => {
  const { tracker, execs, execIds, words, state } = tracking({ ...mislabelled, labels: {}, details: null })
  execs.set(one, exec(one))
  execIds.push(one)
  for (const action of ['exec_create', 'exec_start']) tracker.onEvent(event(action, '', 'id ', forged))
  await settled()
  t.deepEqual(words(), [])
  state.container = mislabelled
  tracker.onContainer(mislabelled)
  await settled()
  t.deepEqual(words(), ['exec 1 ["id"]'])
})

test('an exec that no listing contains is reported without its id', async (t) => {
  const { tracker, words, later } = tracking(mislabelled)
  tracker.onEvent(event('exec_start', '', 'id ', forged))
  tracker.onEvent(event('exec_start', '', 'id ', forged))
  await settled()
  await later(12_100)
  t.deepEqual(words(), ['exec  ["id "] inexact', 'exec  ["id "] inexact'])
})

test('Podman’s exec events have neither id nor command, and the execs are still found', async (t) => {
  const { tracker, execs, execIds, words } = tracking()
  execs.set(one, exec(one, ['top'], { Running: true }))
  execIds.push(one)
  tracker.onEvent(dockerEvent('exec_start'))
  await settled()
  t.deepEqual(words(), ['exec 1 ["top"]'])
})
