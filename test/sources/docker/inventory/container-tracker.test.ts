import { setImmediate } from 'node:timers/promises'
import test from 'ava'
import { createCallQueue } from '../../../../agent/sources/docker/client/call-queue.ts'
import {
  type ContainerTracker,
  createContainerTracker,
} from '../../../../agent/sources/docker/inventory/container-tracker.ts'
import { containerOfListing } from '../../../../agent/sources/docker/inventory/identity.ts'
import type { JsonObject } from '../../../../agent/lib/json-object.ts'
import type { Container } from '../../../../agent/model/container.ts'
import type { ContainerObservation } from '../../../../agent/model/observation.ts'
import { dockerEvent } from '../../../support/docker-event.ts'

const at = 1_795_500_000_000
const iso = (milliseconds: number) => new Date(milliseconds).toISOString()

/** A tracker whose engine returns `inspects`; a container missing there is gone. */
function tracking(limits = { concurrency: 8, limit: 100 }) {
  const inspects = new Map<string, JsonObject | Error>()
  const seen: ContainerObservation[] = []
  const lost: string[] = []
  const reconciled: string[] = []
  const inspected: string[] = []
  const clock = { now: at }
  let pendingInspects: (() => void)[] | null = null
  const calls = createCallQueue(limits)
  calls.open()
  const tracker = createContainerTracker({
    client: {
      async inspectContainer(id) {
        inspected.push(id)
        if (pendingInspects !== null) await new Promise<void>((resolve) => pendingInspects?.push(resolve))
        const answer = inspects.get(id)
        if (answer instanceof Error) throw answer
        return answer ?? null
      },
    },
    calls,
    emit: (observation) => seen.push(observation),
    lose: (reason) => lost.push(reason),
    onReconciled: ({ id }) => reconciled.push(id),
    now: () => clock.now,
  })
  return {
    tracker,
    inspects,
    seen,
    lost,
    inspected,
    reconciled,
    clock,
    calls,
    words: () => seen.map(({ action, container }) => `${action} ${container.name} ${container.state}`),
    hold: () => void (pendingInspects = []),
    release: () => {
      const waiting = pendingInspects ?? []
      pendingInspects = null
      for (const resolve of waiting) resolve()
    },
  }
}

function running(
  id = 'abc',
  overrides: { name?: string; labels?: object; start?: number; created?: number } = {},
): JsonObject {
  return {
    Id: id,
    Created: iso(overrides.created ?? at - 6_000),
    Name: `/${overrides.name ?? 'web'}`,
    State: { Status: 'running', Running: true, Pid: 7, StartedAt: iso(overrides.start ?? at - 5_000) },
    Config: { Image: 'nginx', Labels: overrides.labels ?? {} },
    HostConfig: { Memory: 5 },
  }
}

function exited(id = 'abc', exitCode = 3): JsonObject {
  const state = { Status: 'exited', Running: false, FinishedAt: iso(at - 500), StartedAt: iso(at - 5_000) }
  return { ...running(id), State: { ...state, ExitCode: exitCode } }
}

const listed = (id = 'abc', state = 'running'): Container =>
  containerOfListing({ Id: id, Names: ['/web'], Image: 'nginx', State: state })

async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await setImmediate()
}

async function reconcile(tracker: ContainerTracker, list: readonly Container[]): Promise<void> {
  await new Promise<void>((resolve) => tracker.reconcile(list, resolve))
}

test('a start is reported after its inspect, so that it has the details', async (t) => {
  const { tracker, inspects, seen } = tracking()
  inspects.set('abc', running())
  tracker.onEvent(dockerEvent('start'))
  t.deepEqual(seen, [])
  t.is(tracker.view.get('abc')?.name, 'web')
  await settled()
  t.is(seen[0]?.action, 'started')
  t.is(seen[0]?.container.details?.limits.memoryBytes, 5)
  t.deepEqual(
    tracker.view.running().map(({ id }) => id),
    ['abc'],
  )
})

test('a container is pending until the engine has returned its list and this container’s inspect', async (t) => {
  const { tracker, inspects, hold, release } = tracking()
  inspects.set('abc', running())
  hold()
  t.true(tracker.view.isPending('abc'))
  // An event that needs no inspect names it.
  tracker.onEvent(dockerEvent('pause'))
  t.true(tracker.view.isPending('abc'))
  tracker.reconcile([listed()], () => undefined)
  await settled()
  t.true(tracker.view.isPending('abc'))
  t.false(tracker.view.isPending('of another engine'))
  tracker.onEvent(dockerEvent('start', { actorId: 'fresh' }))
  t.true(tracker.view.isPending('fresh'))
  release()
  await settled()
  t.false(tracker.view.isPending('abc'))
  t.false(tracker.view.isPending('fresh'))
})

test('the engine is asked once about a container with processes that no event has reported', async (t) => {
  const { tracker, inspects, inspected, words } = tracking()
  const [late, foreign] = ['a'.repeat(64), 'b'.repeat(64)]
  tracker.reconcile([], () => undefined)
  inspects.set(late, { ...running(), Id: late })
  t.true(tracker.view.isPending(late))
  t.true(tracker.view.isPending(foreign))
  t.is(tracker.view.get(late), undefined)
  await settled()
  t.truthy(tracker.view.get(late)?.details)
  t.deepEqual(words(), ['seen web running'])
  for (const id of [late, foreign]) t.false(tracker.view.isPending(id))
  t.deepEqual(inspected, [late, foreign])
  // The event, read late, reports nothing new.
  tracker.onEvent(dockerEvent('create', { actorId: late }))
  await settled()
  t.deepEqual(words(), ['seen web running'])
})

test('a container that the engine could not be asked about is asked about again', async (t) => {
  const { tracker, inspects, calls } = tracking({ concurrency: 1, limit: 1 })
  const late = 'a'.repeat(64)
  tracker.reconcile([], () => undefined)
  inspects.set(late, { ...running(), Id: late })
  const block = () => new Promise<null>((resolve) => void setImmediate().then(() => resolve(null)))
  for (let n = 0; n < 3; n += 1) calls.call(block, () => undefined)
  t.false(tracker.view.isPending(late))
  await settled()
  t.true(tracker.view.isPending(late))
  await settled()
  t.truthy(tracker.view.get(late)?.details)
})

test('nothing is pending after the list failed', (t) => {
  const { tracker } = tracking()
  tracker.listingFailed()
  t.false(tracker.view.isPending('abc'))
})

test('a container does not count as running before its start is reported, whatever the inspect says', async (t) => {
  const { tracker, inspects, hold, release, words } = tracking()
  inspects.set('abc', running())
  tracker.onEvent(dockerEvent('create'))
  await settled()
  // The engine was slow: the inspect for the creation shows the container already started.
  t.deepEqual(words(), ['created web running'])
  hold()
  tracker.onEvent(dockerEvent('start'))
  await settled()
  t.deepEqual(tracker.view.running(), [])
  release()
  await settled()
  t.deepEqual(words(), ['created web running', 'started web running'])
  t.is(tracker.view.running().length, 1)
})

test('a container that is gone before its inspect is reported from its events', async (t) => {
  const { tracker, seen, words, inspected } = tracking()
  for (const action of ['create', 'start', 'die', 'destroy'])
    tracker.onEvent(dockerEvent(action, { attributes: { exitCode: '3' } }))
  await settled()
  t.deepEqual(words(), ['created web dead', 'started web dead', 'died web dead', 'removed web dead'])
  t.deepEqual(
    seen.map(({ exitCode }) => exitCode),
    [null, null, 3, null],
  )
  t.is(inspected.length, 1)
})

test('a container’s changes are reported in order, however long an inspect takes', async (t) => {
  const { tracker, inspects, words, hold, release } = tracking()
  inspects.set('abc', running())
  hold()
  for (const action of ['start', 'oom', 'pause', 'unpause']) tracker.onEvent(dockerEvent(action))
  await settled()
  t.deepEqual(words(), [])
  release()
  await settled()
  t.deepEqual(words(), [
    'started web running',
    'oom web running',
    'paused web paused',
    'unpaused web running',
  ])
})

test('a container does not wait for the inspect of another', async (t) => {
  const { tracker, words, hold } = tracking()
  hold()
  tracker.onEvent(dockerEvent('start', { actorId: 'a' }))
  tracker.onEvent(dockerEvent('oom', { actorId: 'b' }))
  await settled()
  t.deepEqual(words(), ['oom web unknown'])
})

test('a container whose inspect fails is known from the event, and inspected again', async (t) => {
  const { tracker, inspects, words } = tracking()
  inspects.set('abc', new Error('no response within 10 s'))
  tracker.onEvent(dockerEvent('start'))
  await settled()
  t.deepEqual(words(), ['started web running'])
  inspects.set('abc', running())
  tracker.tidy()
  await settled()
  t.deepEqual(words().slice(1), ['updated web running'])
  t.is(tracker.view.get('abc')?.details?.pid, 7)
})

test('an inspect of another container is ignored', async (t) => {
  const { tracker, inspects, seen } = tracking()
  inspects.set('abc', running('other'))
  tracker.onEvent(dockerEvent('start'))
  await settled()
  t.is(seen[0]?.container.id, 'abc')
  t.is(seen[0]?.container.details, null)
})

test('with a full call queue a container is known from its event alone, and that is counted', async (t) => {
  const { tracker, words, lost, hold } = tracking({ concurrency: 1, limit: 2 })
  hold()
  for (const id of ['a', 'b', 'c', 'd', 'e']) tracker.onEvent(dockerEvent('start', { actorId: id }))
  t.deepEqual(words(), ['started web running', 'started web running'])
  t.deepEqual(lost, ['queue-full', 'queue-full'])
})

test('if one container has too many pending changes, those not reported are counted', async (t) => {
  const { tracker, seen, lost, hold, release } = tracking()
  hold()
  tracker.onEvent(dockerEvent('start'))
  for (let index = 0; index < 300; index += 1) tracker.onEvent(dockerEvent('oom'))
  release()
  await settled()
  t.is(seen.length + lost.length, 301)
  t.is(lost.length, 300 - 256)
})

test('a label named exitCode does not change the exit code', async (t) => {
  const { tracker, inspects, seen } = tracking()
  inspects.set('abc', running('abc', { labels: { exitCode: '0' } }))
  tracker.onEvent(dockerEvent('start', { attributes: { exitCode: '0' } }))
  await settled()
  inspects.set('abc', { ...exited('abc', 137), Config: { Labels: { exitCode: '0' } } })
  tracker.onEvent(dockerEvent('die', { attributes: { exitCode: '0' } }))
  await settled()
  t.is(seen[1]?.exitCode, 137)
})

test('listed containers are reported with their details, and their execs are looked up', async (t) => {
  const { tracker, inspects, words, reconciled } = tracking()
  inspects.set('a', running('a')).set('b', exited('b'))
  await reconcile(tracker, [listed('a'), listed('b', 'exited'), listed('gone')])
  t.deepEqual(words(), ['seen web running', 'seen web exited'])
  t.deepEqual(reconciled, ['a', 'b'])
  t.deepEqual(
    tracker.view.all().map(({ id }) => id),
    ['a', 'b'],
  )
})

test('a comparison without a change reports nothing', async (t) => {
  const { tracker, inspects, seen } = tracking()
  inspects.set('abc', running())
  await reconcile(tracker, [listed()])
  await reconcile(tracker, [listed()])
  t.is(seen.length, 1)
})

test('a container that vanished unnoticed is reported as died and removed', async (t) => {
  const { tracker, inspects, words } = tracking()
  inspects.set('abc', running())
  await reconcile(tracker, [listed()])
  inspects.clear()
  await reconcile(tracker, [])
  t.deepEqual(words().slice(1), ['died web dead', 'removed web dead'])
  tracker.onEvent(dockerEvent('destroy'))
  t.is(words().length, 3)
})

test('a container created during the listing does not count as vanished', async (t) => {
  const { tracker, inspects, words } = tracking()
  inspects.set('abc', running())
  tracker.onEvent(dockerEvent('start'))
  await reconcile(tracker, [])
  t.deepEqual(words(), ['started web running'])
})

test('an end reported by a comparison is not reported again by its late event, but the next one is', async (t) => {
  const { tracker, inspects, words, seen } = tracking()
  inspects.set('abc', running())
  await reconcile(tracker, [listed()])
  inspects.set('abc', exited())
  await reconcile(tracker, [listed('abc', 'exited')])
  t.deepEqual(words().slice(1), ['died web exited'])
  t.is(seen[1]?.time, at - 500)
  t.is(seen[1]?.exitCode, 3)
  tracker.onEvent(dockerEvent('die', { time: at - 400 }))
  await settled()
  t.is(words().length, 2)
  inspects.set('abc', running('abc', { start: at + 5_000 }))
  tracker.onEvent(dockerEvent('start', { time: at + 5_001 }))
  tracker.onEvent(dockerEvent('die', { time: at + 6_000 }))
  await settled()
  t.deepEqual(words().slice(2), ['started web running', 'died web running'])
})

test('a restart reported by a comparison is not reported again by its late events', async (t) => {
  const { tracker, inspects, words } = tracking()
  inspects.set('abc', running())
  await reconcile(tracker, [listed()])
  inspects.set('abc', running('abc', { start: at - 100 }))
  await reconcile(tracker, [listed()])
  t.deepEqual(words().slice(1), ['died web running', 'started web running'])
  tracker.onEvent(dockerEvent('die', { time: at - 200 }))
  tracker.onEvent(dockerEvent('start', { time: at - 90 }))
  await settled()
  t.is(words().length, 3)
})

test('restarts in quick succession are all reported', async (t) => {
  const { tracker, inspects, words } = tracking()
  inspects.set('abc', running())
  for (let round = 0; round < 3; round += 1) {
    tracker.onEvent(dockerEvent('start', { time: at + round }))
    tracker.onEvent(dockerEvent('die', { time: at + round }))
  }
  await settled()
  t.deepEqual(
    words().map((word) => word.split(' ')[0]),
    ['started', 'died', 'started', 'died', 'started', 'died'],
  )
})

test('a removed container is remembered for a minute', async (t) => {
  const { tracker, inspects, clock } = tracking()
  inspects.set('abc', running())
  tracker.onEvent(dockerEvent('start'))
  tracker.onEvent(dockerEvent('destroy'))
  await settled()
  t.is(tracker.view.get('abc')?.name, 'web')
  t.deepEqual([tracker.view.all(), tracker.view.running()], [[], []])
  clock.now += 59_000
  tracker.tidy()
  t.is(tracker.view.get('abc')?.name, 'web')
  clock.now += 2_000
  tracker.tidy()
  t.is(tracker.view.get('abc'), undefined)
})

test('a listed container that is removed before its inspect keeps its name, and is not a container of the host', async (t) => {
  const { tracker, seen, hold, release } = tracking()
  hold()
  tracker.reconcile([listed()], () => undefined)
  tracker.onEvent(dockerEvent('destroy', { attributes: { name: 'web', image: 'nginx' } }))
  release()
  await settled()
  t.like(tracker.view.get('abc'), { name: 'web', image: 'nginx', details: null })
  t.deepEqual([tracker.view.all(), tracker.view.running()], [[], []])
  t.deepEqual(
    seen.map(({ action }) => action),
    ['removed'],
  )
})

test('a rename is reported with the previous name', async (t) => {
  const { tracker, inspects, seen } = tracking()
  inspects.set('abc', running())
  tracker.onEvent(dockerEvent('start'))
  await settled()
  inspects.set('abc', running('abc', { name: 'new' }))
  tracker.onEvent(dockerEvent('rename', { attributes: { name: 'new', oldName: '/lie' } }))
  await settled()
  t.deepEqual([seen[1]?.action, seen[1]?.container.name, seen[1]?.previousName], ['renamed', 'new', 'web'])
})

const taskLabels = (taskId: string) => ({
  'com.docker.swarm.task.id': taskId,
  'com.docker.swarm.task.name': `shop.1.${taskId}`,
})
const runningTask = (taskId: string, created: number): JsonObject =>
  running(taskId, { name: `shop.1.${taskId}`, labels: taskLabels(taskId), created })
const listedTask = (taskId: string, created: number, state = 'running'): Container =>
  containerOfListing({
    Id: taskId,
    Names: [`/shop.1.${taskId}`],
    Labels: taskLabels(taskId),
    State: state,
    Created: Math.floor(created / 1_000),
  })
const taskEvent = (action: string, taskId: string) =>
  dockerEvent(action, {
    actorId: taskId,
    attributes: { name: `shop.1.${taskId}`, ...taskLabels(taskId), exitCode: '0' },
  })

test('a Swarm task is renamed before the next one of its slot is reported, and keeps that name', async (t) => {
  const { tracker, inspects, words, seen } = tracking()
  inspects.set('old-4567', runningTask('old-4567', at - 9_000))
  tracker.onEvent(taskEvent('start', 'old-4567'))
  await settled()
  inspects.set('new-4567', runningTask('new-4567', at - 1_000))
  tracker.onEvent(taskEvent('create', 'new-4567'))
  tracker.onEvent(taskEvent('start', 'new-4567'))
  await settled()
  t.deepEqual(words(), [
    'started shop.1 running',
    'renamed shop.1.old-45 running',
    'created shop.1 running',
    'started shop.1 running',
  ])
  t.is(seen[1]?.previousName, 'shop.1')
  inspects.delete('new-4567')
  for (const action of ['die', 'destroy']) tracker.onEvent(taskEvent(action, 'new-4567'))
  await settled()
  await reconcile(tracker, [listedTask('old-4567', at - 9_000)])
  tracker.onEvent(taskEvent('die', 'old-4567'))
  await settled()
  t.deepEqual(words().slice(4), ['died shop.1 dead', 'removed shop.1 dead', 'died shop.1.old-45 running'])
})

test('a restarted daemon gives the tasks of one slot the same names from the first report', async (t) => {
  for (const newState of ['running', 'exited']) {
    const { tracker, inspects, words } = tracking()
    const [old, fresh] = [at - 9_000, at - 1_000]
    inspects.set('old-4567', runningTask('old-4567', old))
    inspects.set('new-4567', { ...runningTask('new-4567', fresh), State: { Status: newState } })
    await reconcile(tracker, [listedTask('old-4567', old), listedTask('new-4567', fresh, newState)])
    t.deepEqual(words(), ['seen shop.1.old-45 running', `seen shop.1 ${newState}`])
  }
})

test('the inspects decide between tasks that were created in the same second', async (t) => {
  const { tracker, inspects, words } = tracking()
  const [old, fresh] = [at + 100, at + 900]
  inspects.set('old-4567', runningTask('old-4567', old)).set('new-4567', runningTask('new-4567', fresh))
  await reconcile(tracker, [listedTask('new-4567', fresh), listedTask('old-4567', old)])
  t.deepEqual(words(), ['seen shop.1 running', 'seen shop.1.old-45 running'])
})

test('an ended task that is started again next to a newer one is renamed first', async (t) => {
  const { tracker, inspects, words } = tracking()
  const [old, fresh] = [at - 9_000, at - 1_000]
  inspects.set('old-4567', { ...runningTask('old-4567', old), State: { Status: 'exited' } })
  inspects.set('new-4567', runningTask('new-4567', fresh))
  await reconcile(tracker, [listedTask('new-4567', fresh), listedTask('old-4567', old, 'exited')])
  inspects.set('old-4567', runningTask('old-4567', old))
  tracker.onEvent(taskEvent('start', 'old-4567'))
  await settled()
  t.deepEqual(words(), [
    'seen shop.1 running',
    'seen shop.1 exited',
    'renamed shop.1.old-45 running',
    'started shop.1.old-45 running',
  ])
})

test('tasks that the engine was too slow to inspect get their names from the events', async (t) => {
  const { tracker, inspects, words } = tracking()
  for (const id of ['old-4567', 'new-4567']) inspects.set(id, new Error('no response within 10 s'))
  for (const [id, time] of [
    ['old-4567', at],
    ['new-4567', at + 5_000],
  ] as const) {
    tracker.onEvent({ ...taskEvent('create', id), time })
    tracker.onEvent({ ...taskEvent('start', id), time })
    await settled()
  }
  t.deepEqual(words().slice(2), [
    'renamed shop.1.old-45 running',
    'created shop.1 created',
    'started shop.1 running',
  ])
})

test('events of other objects, or without an id, are ignored', async (t) => {
  const { tracker, inspected } = tracking()
  tracker.onEvent(dockerEvent('create', { type: 'network' }))
  tracker.onEvent(dockerEvent('start', { actorId: '' }))
  tracker.onEvent(dockerEvent('prune'))
  tracker.onEvent(dockerEvent('toString'))
  await settled()
  t.deepEqual(inspected, [])
  t.deepEqual(tracker.view.all(), [])
})

test('a queued change is reported without an inspect when the call queue closes', async (t) => {
  const { tracker, calls, words, hold } = tracking({ concurrency: 1, limit: 10 })
  hold()
  tracker.onEvent(dockerEvent('start', { actorId: 'a' }))
  tracker.onEvent(dockerEvent('start', { actorId: 'b' }))
  calls.close()
  t.deepEqual(words(), ['started web running'])
})
