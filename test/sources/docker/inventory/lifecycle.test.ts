import test from 'ava'
import { containerOfInspect } from '../../../../agent/sources/docker/inventory/identity.ts'
import {
  changeOfEvent,
  containerAfter,
  missedChanges,
} from '../../../../agent/sources/docker/inventory/lifecycle.ts'
import type { ContainerAction, DockerEvent } from '../../../../agent/model/observation.ts'
import { dockerEvent } from '../../../support/docker-event.ts'

const at = (second: number) => Date.parse('2026-11-24T05:00:00Z') + second * 1000
const iso = (second: number) => new Date(at(second)).toISOString()

function inspectOf({ name = '/web', memory = 0, state }: { name?: string; memory?: number; state: object }) {
  return { Id: 'abc', Name: name, State: state, Config: {}, HostConfig: { Memory: memory } }
}
const running = inspectOf({ state: { Status: 'running', Running: true, StartedAt: iso(10) } })
const restarted = inspectOf({ state: { Status: 'running', Running: true, StartedAt: iso(20) } })
const exited = inspectOf({
  state: { Status: 'exited', Running: false, StartedAt: iso(10), FinishedAt: iso(15), ExitCode: 3 },
})

for (const [claim, before, wasUp, after, expected] of [
  ['without a difference nothing was missed', running, true, running, []],
  ['a missed end is reported with its time and exit code', running, true, exited, ['died 15 3']],
  ['a missed start is reported with its time', exited, false, running, ['started 10 null']],
  ['a missed restart is an end and a start', running, true, restarted, ['died 20 null', 'started 20 null']],
  ['a missed rename is reported', running, true, { ...running, Name: '/new' }, ['renamed 99 null']],
  [
    'missed new limits are reported',
    running,
    true,
    inspectOf({ memory: 5, state: running.State }),
    ['updated 99 null'],
  ],
] as const) {
  test(claim, (t) => {
    const changes = missedChanges(containerOfInspect(before), wasUp, after, at(99))
    t.deepEqual(
      changes.map(({ action, time, exitCode }) => `${action} ${(time - at(0)) / 1000} ${exitCode}`),
      [...expected],
    )
  })
}

test('without an inspect nothing is reported as missed', (t) => {
  t.deepEqual(missedChanges(containerOfInspect(running), true, undefined, at(99)), [])
})

function event(action: string, attributes: Record<string, string> = {}): DockerEvent {
  return dockerEvent(action, { attributes })
}

test('the exit code comes from the event', (t) => {
  const change = changeOfEvent(event('die', { exitCode: '137' }), 'died', containerOfInspect(running), null)
  t.is(change.exitCode, 137)
})

for (const [claim, answer, expected] of [
  ['known from the inspect', exited, 3],
  ['unknown while it runs again', restarted, null],
  ['unknown when the container is gone', null, null],
] as const) {
  test(`the exit code of a container with a label exitCode is ${claim}`, (t) => {
    const labelled = containerOfInspect({ ...running, Config: { Labels: { exitCode: '0' } } })
    t.is(changeOfEvent(event('die', { exitCode: '0' }), 'died', labelled, answer).exitCode, expected)
  })
}

test('a rename is reported with the previous name, even if an inspect showed the new name first', (t) => {
  const renamed = event('rename', { name: 'new', oldName: '/web' })
  t.is(changeOfEvent(renamed, 'renamed', containerOfInspect(running), undefined).previousName, 'web')
  const known = containerOfInspect({ ...running, Name: '/new' })
  t.is(changeOfEvent(renamed, 'renamed', known, undefined).previousName, 'web')
})

for (const [action, answer, state] of [
  ['started', undefined, 'running'],
  ['died', undefined, 'exited'],
  ['died', restarted, 'running'],
  ['paused', undefined, 'paused'],
  ['unpaused', undefined, 'running'],
  ['removed', undefined, 'dead'],
  ['started', null, 'dead'],
  ['oom', undefined, 'exited'],
] as const satisfies [ContainerAction, unknown, string][]) {
  test(`a container is ${state} after ${action} and the inspect ${JSON.stringify(answer)?.slice(0, 40)}`, (t) => {
    t.is(containerAfter(containerOfInspect(exited), event(action), action, answer).state, state)
  })
}

test('a container that ended has no pid', (t) => {
  const before = containerOfInspect({ ...running, State: { ...running.State, Pid: 7 } })
  t.is(containerAfter(before, event('die'), 'died', undefined).details?.pid, 0)
})
