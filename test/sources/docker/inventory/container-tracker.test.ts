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

/** A tracker whose engine knows what `inspects` says; undefined does not answer at all. */
function tracking(limits = { concurrency: 8, limit: 100 }) {
  const inspects = new Map<string, JsonObject | Error>()
  const seen: ContainerObservation[] = []
  const lost: string[] = []
  const reconciled: string[] = []
  const asked: string[] = []
  const clock = { now: at }
  let held: (() => void)[] | null = null
  const calls = createCallQueue(limits)
  calls.open()
  const tracker = createContainerTracker({
    client: {
      async inspectContainer(id) {
        asked.push(id)
        if (held !== null) await new Promise<void>((resolve) => held?.push(resolve))
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
    asked,
    reconciled,
    clock,
    calls,
    words: () => seen.map(({ action, container }) => `${action} ${container.name} ${container.state}`),
    hold: () => void (held = []),
    release: () => {
      const waiting = held ?? []
      held = null
      for (const resolve of waiting) resolve()
    },
  }
}

function running(id = 'abc', overrides: { name?: string; labels?: object; start?: number } = {}): JsonObject {
  return {
    Id: id,
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

test('a start is told once its inspect is known, so that its details are there', async (t) => {
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

test('a container is pending until the engine has answered with its list, and about this container', async (t) => {
  const { tracker, inspects, hold, release } = tracking()
  inspects.set('abc', running())
  hold()
  t.true(tracker.view.isPending('abc'))
  // It is named by an event that needs no answer.
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

test('nothing is pending once the engine could not be asked for its list', (t) => {
  const { tracker } = tracking()
  tracker.listingFailed()
  t.false(tracker.view.isPending('abc'))
})

test('a container is not among the running before its start is reported, whatever the engine answers', async (t) => {
  const { tracker, inspects, hold, release, words } = tracking()
  inspects.set('abc', running())
  tracker.onEvent(dockerEvent('create'))
  await settled()
  // The engine was slow: it answers the question about the creation when the container has started.
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

test('a container that is gone before it is asked after is named from its events', async (t) => {
  const { tracker, seen, words, asked } = tracking()
  for (const action of ['create', 'start', 'die', 'destroy'])
    tracker.onEvent(dockerEvent(action, { attributes: { exitCode: '3' } }))
  await settled()
  t.deepEqual(words(), ['created web dead', 'started web dead', 'died web dead', 'removed web dead'])
  t.deepEqual(
    seen.map(({ exitCode }) => exitCode),
    [null, null, 3, null],
  )
  t.is(asked.length, 1)
})

test('what happens to a container is told in its order, however long an answer takes', async (t) => {
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

test('one container does not wait for the answer about another', async (t) => {
  const { tracker, words, hold } = tracking()
  hold()
  tracker.onEvent(dockerEvent('start', { actorId: 'a' }))
  tracker.onEvent(dockerEvent('oom', { actorId: 'b' }))
  await settled()
  t.deepEqual(words(), ['oom web unknown'])
})

test('a container that cannot be asked after is known from the event, and asked after again', async (t) => {
  const { tracker, inspects, words } = tracking()
  inspects.set('abc', new Error('no answer within 10 s'))
  tracker.onEvent(dockerEvent('start'))
  await settled()
  t.deepEqual(words(), ['started web running'])
  inspects.set('abc', running())
  tracker.tidy()
  await settled()
  t.deepEqual(words().slice(1), ['updated web running'])
  t.is(tracker.view.get('abc')?.details?.pid, 7)
})

test('an answer about another container is no answer', async (t) => {
  const { tracker, inspects, seen } = tracking()
  inspects.set('abc', running('other'))
  tracker.onEvent(dockerEvent('start'))
  await settled()
  t.is(seen[0]?.container.id, 'abc')
  t.is(seen[0]?.container.details, null)
})

test('when too many answers are awaited, a container is known from its event alone, and that is counted', async (t) => {
  const { tracker, words, lost, hold } = tracking({ concurrency: 1, limit: 2 })
  hold()
  for (const id of ['a', 'b', 'c', 'd', 'e']) tracker.onEvent(dockerEvent('start', { actorId: id }))
  t.deepEqual(words(), ['started web running', 'started web running'])
  t.deepEqual(lost, ['queue-full', 'queue-full'])
})

test('when too much happens to one container while its answer is awaited, what is not told is counted', async (t) => {
  const { tracker, seen, lost, hold, release } = tracking()
  hold()
  tracker.onEvent(dockerEvent('start'))
  for (let index = 0; index < 300; index += 1) tracker.onEvent(dockerEvent('oom'))
  release()
  await settled()
  t.is(seen.length + lost.length, 301)
  t.is(lost.length, 300 - 256)
})

test('a label called exitCode does not change the exit code', async (t) => {
  const { tracker, inspects, seen } = tracking()
  inspects.set('abc', running('abc', { labels: { exitCode: '0' } }))
  tracker.onEvent(dockerEvent('start', { attributes: { exitCode: '0' } }))
  await settled()
  inspects.set('abc', { ...exited('abc', 137), Config: { Labels: { exitCode: '0' } } })
  tracker.onEvent(dockerEvent('die', { attributes: { exitCode: '0' } }))
  await settled()
  t.is(seen[1]?.exitCode, 137)
})

test('containers that are listed are seen, with their details, and their execs are looked for', async (t) => {
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

test('looking again without a change says nothing', async (t) => {
  const { tracker, inspects, seen } = tracking()
  inspects.set('abc', running())
  await reconcile(tracker, [listed()])
  await reconcile(tracker, [listed()])
  t.is(seen.length, 1)
})

test('a container that vanished unseen died and was removed', async (t) => {
  const { tracker, inspects, words } = tracking()
  inspects.set('abc', running())
  await reconcile(tracker, [listed()])
  inspects.clear()
  await reconcile(tracker, [])
  t.deepEqual(words().slice(1), ['died web dead', 'removed web dead'])
  tracker.onEvent(dockerEvent('destroy'))
  t.is(words().length, 3)
})

test('a container that is created while the list is on its way is not taken for vanished', async (t) => {
  const { tracker, inspects, words } = tracking()
  inspects.set('abc', running())
  tracker.onEvent(dockerEvent('start'))
  await reconcile(tracker, [])
  t.deepEqual(words(), ['started web running'])
})

test('an end that a comparison told is not told again by its late event, but the next one is', async (t) => {
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

test('a restart that a comparison told is not told again by its late events', async (t) => {
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

test('restarts in quick succession are all told by their events', async (t) => {
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

test('a removed container is known for a minute, and then forgotten', async (t) => {
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

test('a new name is told with the one before it', async (t) => {
  const { tracker, inspects, seen } = tracking()
  inspects.set('abc', running())
  tracker.onEvent(dockerEvent('start'))
  await settled()
  inspects.set('abc', running('abc', { name: 'new' }))
  tracker.onEvent(dockerEvent('rename', { attributes: { name: 'new', oldName: '/lie' } }))
  await settled()
  t.deepEqual([seen[1]?.action, seen[1]?.container.name, seen[1]?.previousName], ['renamed', 'new', 'web'])
})

test('events of other things, and of nothing, are not of a container', async (t) => {
  const { tracker, asked } = tracking()
  tracker.onEvent(dockerEvent('create', { type: 'network' }))
  tracker.onEvent(dockerEvent('start', { actorId: '' }))
  tracker.onEvent(dockerEvent('prune'))
  tracker.onEvent(dockerEvent('toString'))
  await settled()
  t.deepEqual(asked, [])
  t.deepEqual(tracker.view.all(), [])
})

test('what waits for an answer goes on without one when the asking stops', async (t) => {
  const { tracker, calls, words, hold } = tracking({ concurrency: 1, limit: 10 })
  hold()
  tracker.onEvent(dockerEvent('start', { actorId: 'a' }))
  tracker.onEvent(dockerEvent('start', { actorId: 'b' }))
  calls.close()
  t.deepEqual(words(), ['started web running'])
})
