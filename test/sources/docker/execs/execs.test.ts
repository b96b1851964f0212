import { setImmediate } from 'node:timers/promises'
import test from 'ava'
import { createCallQueue } from '../../../../agent/sources/docker/client/call-queue.ts'
import { createExecTracker } from '../../../../agent/sources/docker/execs/execs.ts'
import { containerOfInspect } from '../../../../agent/sources/docker/inventory/identity.ts'
import type { JsonObject } from '../../../../agent/lib/json-object.ts'
import type { Container } from '../../../../agent/model/container.ts'
import type { DockerEvent, ExecEnded, ExecObservation } from '../../../../agent/model/observation.ts'
import { dockerEvent } from '../../../support/docker-event.ts'

const at = 1_795_500_000_000
const one = '1'.repeat(64)
const two = '2'.repeat(64)

const web = containerOfInspect({
  Id: 'abc',
  Name: '/web',
  State: { Status: 'running' },
  Config: { User: 'app', Healthcheck: { Test: ['CMD', 'check'] } },
})

function tracking(container: Container = web, limits = { concurrency: 8, limit: 1_000 }) {
  const execs = new Map<string, JsonObject | Error>()
  const execIds: string[] = []
  const seen: (ExecObservation | ExecEnded)[] = []
  const lost: string[] = []
  const inspected: string[] = []
  const state: { now: number; container: Container | undefined; answers: boolean } = {
    now: at,
    container,
    answers: true,
  }
  const calls = createCallQueue(limits)
  calls.open()
  const tracker = createExecTracker({
    client: {
      inspectContainer: async () => ({ Id: 'abc', ExecIDs: [...execIds] }),
      async inspectExec(id) {
        inspected.push(id)
        if (!state.answers) await new Promise(() => {})
        const answer = execs.get(id)
        if (answer instanceof Error) throw answer
        return answer ?? null
      },
    },
    calls,
    containerOf: () => state.container,
    emit: (observation) => seen.push(observation),
    lose: (reason) => lost.push(reason),
    now: () => state.now,
  })
  return {
    tracker,
    execs,
    execIds,
    seen,
    lost,
    inspected,
    state,
    words: () => seen.map(wordOf),
    later: async (milliseconds: number) => {
      state.now += milliseconds
      while (tracker.tick());
      await settled()
    },
  }
}

function wordOf(observation: ExecObservation | ExecEnded): string {
  const { kind, execId } = observation
  if (kind === 'exec-ended') return `ended ${execId.slice(0, 1)} ${observation.exitCode}`
  return `exec ${execId.slice(0, 1)} ${JSON.stringify(observation.argv)}${observation.exact ? '' : ' inexact'}`
}

function exec(id: string, argv: string[] = ['id'], overrides: JsonObject = {}): JsonObject {
  const [entrypoint, ...rest] = argv
  const ProcessConfig = { entrypoint, arguments: rest, user: 'app', tty: false, privileged: false }
  return {
    ID: id,
    ContainerID: 'abc',
    Running: false,
    ExitCode: null,
    Pid: 0,
    OpenStdin: false,
    ProcessConfig,
    ...overrides,
  }
}

function event(
  action: string,
  id: string,
  detail = 'id ',
  attributes: Record<string, string> = {},
): DockerEvent {
  return dockerEvent(action, { detail, time: at, attributes: { execID: id, ...attributes } })
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await setImmediate()
}

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

test('a failed start ends when the inspect has its exit code', async (t) => {
  const { tracker, execs, words, later } = tracking()
  execs.set(one, exec(one, ['id'], { ExitCode: 126 }))
  tracker.onEvent(event('exec_create', one))
  tracker.onEvent(event('exec_start', one))
  await settled()
  await later(4_900)
  t.is(words().length, 1)
  await later(200)
  t.deepEqual(words().slice(1), ['ended 1 126'])
})

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

test('a label named exitCode does not change the exit code of an exec', async (t) => {
  const labelled = { ...web, labels: { exitCode: '0' } }
  const { tracker, execs, words } = tracking(labelled)
  execs.set(one, exec(one, ['id'], { ExitCode: 42 }))
  for (const action of ['exec_create', 'exec_start', 'exec_die'])
    tracker.onEvent(event(action, one, 'id ', { exitCode: '0' }))
  await settled()
  t.deepEqual(words(), ['exec 1 ["id"]', 'ended 1 42'])
})

test('Podman’s exec events have neither id nor command, and the execs are still found', async (t) => {
  const { tracker, execs, execIds, words } = tracking()
  execs.set(one, exec(one, ['top'], { Running: true }))
  execIds.push(one)
  tracker.onEvent(dockerEvent('exec_start'))
  await settled()
  t.deepEqual(words(), ['exec 1 ["top"]'])
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
