import { readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { firstValueFrom, Subject, take, toArray } from 'rxjs'
import type { Container } from '../../../agent/model/container.ts'
import type { ResourceSample } from '../../../agent/model/observation.ts'
import { resources, type ResourcesOptions } from '../../../agent/sources/resources/resources.ts'
import { until } from '../../support/until.ts'
import { container, details, fixtureId, fixtureUsage, viewOf } from './samples.ts'
import { type Tree, treeOf } from './tree.ts'

const stats = {
  read: '2026-11-24T05:37:33Z',
  pids_stats: { current: 3 },
  cpu_stats: { cpu_usage: { total_usage: 1e9 }, throttling_data: {} },
  memory_stats: { usage: 1000, stats: { inactive_file: 300 } },
}

function observe(tree: Tree, count: number, given: Partial<ResourcesOptions> = {}) {
  const options = { ...tree, containers: viewOf([container()]), intervalMs: 20, now: () => 777, ...given }
  return firstValueFrom(resources(options).observe().pipe(take(count), toArray()))
}

const attached = (mode: string) => ({
  kind: 'source-status' as const,
  time: 777,
  source: 'resources' as const,
  up: true,
  mode,
  best: true,
  reason: '',
})

test('the source reports its mode once and then samples repeatedly', async (t) => {
  const seen = await observe(treeOf(t, 'hybrid-cgroupfs', fixtureId), 4)
  const sample = { kind: 'resources' as const, time: 777, container: container(), ...fixtureUsage }
  t.deepEqual(seen, [attached('cgroup-v1'), sample, sample, sample])
})

test('an engine on another host is sampled through the API, which is its best mode', async (t) => {
  const remote = container({ details: details({ pid: 99 }) })
  const requests: string[] = []
  const seen = await observe(treeOf(t, 'v2-systemd', fixtureId), 4, {
    containers: viewOf([remote]),
    statsOnce: async (id) => {
      requests.push(id)
      return stats
    },
  })
  t.deepEqual(seen[0], attached('cgroup-v2'))
  t.like(seen[1], { kind: 'resources', memory: { workingSetBytes: 700 } })
  t.deepEqual(seen[2], attached('stats-api'))
  t.like(seen[3], { kind: 'resources' })
  t.is(requests[0], remote.id)
})

test('unreadable local files are reported, and the API is used', async (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  tree.write(join(tree.memory, 'memory.stat'), 'garbage')
  const seen = await observe(tree, 4, { statsOnce: async () => stats })
  t.like(seen[1], { kind: 'resources', memory: { workingSetBytes: 700 } })
  t.like(seen[2], { kind: 'source-status', up: true, mode: 'stats-api', best: false })
  t.regex(seen[2]?.kind === 'source-status' ? seen[2].reason : '', /memory.stat has no line inactive_file$/)
  t.like(seen[3], { kind: 'resources' })
})

test('a container that cannot be sampled is reported and does not delay the others', async (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  const silent = container({ id: 'f'.repeat(64), name: 'silent', details: details({ pid: 99 }) })
  const running = [silent, container()]
  const seen$ = resources({
    ...tree,
    containers: viewOf(running),
    intervalMs: 20,
    now: () => 777,
    statsOnce: async () => {
      throw new Error('the engine is busy')
    },
  }).observe()
  const seen = await firstValueFrom(seen$.pipe(take(3), toArray()))
  t.like(seen[1], { kind: 'resources', container: { name: 'web-1' } })
  t.like(seen[2], {
    mode: 'cgroup-v2',
    best: false,
    reason:
      'silent cannot be sampled: its first process is not in a cgroup of this host; Docker API: the engine is busy',
  })
})

test('a recovery is reported', async (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  const good = 'inactive_file 0\n'
  tree.write(join(tree.memory, 'memory.stat'), 'garbage')
  const statuses: boolean[] = []
  await new Promise<void>((resolve) => {
    const subscription = resources({
      ...tree,
      containers: viewOf([container()]),
      intervalMs: 10,
      now: () => 777,
    })
      .observe()
      .subscribe((seen) => {
        if (seen.kind === 'source-status') statuses.push(seen.best)
        if (statuses.at(-1) === false) tree.write(join(tree.memory, 'memory.stat'), good)
        if (statuses.length < 3) return
        subscription.unsubscribe()
        resolve()
      })
  })
  t.deepEqual(statuses, [true, false, true])
})

test('a container that exited meanwhile causes neither a sample nor a problem', async (t) => {
  const answers = [null, { ...stats, read: '0001-01-01T00:00:00Z' }, stats]
  const seen = await observe(treeOf(t, 'v2-systemd', fixtureId), 2, {
    containers: viewOf([container({ details: details({ pid: 99 }) })]),
    statsOnce: async () => answers.shift(),
  })
  t.like(seen[1], { kind: 'resources' })
  t.is(answers.length, 0)
})

test('the event loop gets turns between many containers, and every container is sampled', async (t) => {
  const tree = treeOf(t, 'v2-nested', fixtureId)
  const many = Array.from({ length: 100 }, (_, index) => container({ name: `web-${index}` }))
  let turns = 0
  const turn = setInterval(() => turns++, 0)
  const seen = await observe(tree, 101, { containers: viewOf(many), intervalMs: 60_000 })
  clearInterval(turn)
  t.deepEqual(
    seen.slice(1).map((one) => (one.kind === 'resources' ? one.container.name : one.kind)),
    many.map(({ name }) => name),
  )
  t.true(turns >= 2)
})

test('a container near its limit is sampled more often than others', async (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  tree.write(join(tree.memory, 'pids.current'), '80\n')
  const counts: Record<string, number> = {}
  const subscription = resources({
    ...tree,
    containers: viewOf([container()]),
    intervalMs: 600_000,
    nearIntervalMs: 50,
    now: () => 777,
  })
    .observe()
    .subscribe((seen) => {
      if (seen.kind !== 'resources') return
      const { current } = seen.pids
      counts[current] = (counts[current] ?? 0) + 1
      if (counts[80] === 3) tree.write(join(tree.memory, 'pids.current'), '79\n')
    })
  t.teardown(() => subscription.unsubscribe())
  await until(() => counts[79] !== undefined)
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.deepEqual(counts, { 80: 3, 79: 1 })
})

test('a container that starts between two samples is sampled at the next tick', async (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  const running: Container[] = []
  const seen$ = resources({
    ...tree,
    containers: viewOf(running),
    intervalMs: 60_000,
    nearIntervalMs: 20,
    now: () => 777,
  }).observe()
  setTimeout(() => running.push(container()), 50)
  const seen = await firstValueFrom(seen$.pipe(take(2), toArray()))
  t.like(seen[1], { kind: 'resources', container: { id: fixtureId } })
})

test('an announced kill or refused fork is sampled long before the next turn, and reclaim is not', async (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  const samples: ResourceSample[] = []
  const subscription = resources({
    ...tree,
    containers: viewOf([container()]),
    intervalMs: 60_000,
    now: () => 777,
  })
    .observe()
    .subscribe((seen) => {
      if (seen.kind === 'resources') samples.push(seen)
    })
  t.teardown(() => subscription.unsubscribe())
  await until(() => samples.length === 1)

  const events = join(tree.memory, 'memory.events')
  for (let max = 32; max < 40; max++) {
    tree.write(events, `max ${max}\noom_kill 2\n`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  t.is(samples.length, 1)

  tree.write(events, 'max 40\noom_kill 3\n')
  await until(() => samples.length === 2)
  t.is(samples[1]?.memory.oomKills, 3)

  tree.write(join(tree.memory, 'pids.events'), 'max 4\n')
  await until(() => samples.length === 3)
  t.is(samples[2]?.pids.refusedForks, 4)
})

test('a container whose processes multiply, or that waits for memory, is sampled before its turn', async (t) => {
  const forkBursts$ = new Subject<string>()
  const triggers: (() => void)[] = []
  const samples: ResourceSample[] = []
  const subscription = resources({
    ...treeOf(t, 'v2-systemd', fixtureId),
    containers: viewOf([container()]),
    intervalMs: 60_000,
    now: () => 777,
    forkBursts$,
    triggerOf(_path, onPressure) {
      triggers.push(onPressure)
      return { close: () => undefined }
    },
  })
    .observe()
    .subscribe((seen) => {
      if (seen.kind === 'resources') samples.push(seen)
    })
  t.teardown(() => subscription.unsubscribe())
  await until(() => samples.length === 1)
  triggers[0]?.()
  await until(() => samples.length === 2)
  forkBursts$.next(fixtureId)
  await until(() => samples.length === 3)
  t.deepEqual([...new Set(samples.map(({ container: { id } }) => id))], [fixtureId])
})

test('a container that is sampled through the API is sampled only in its turn, even during a fork burst', async (t) => {
  const forkBursts$ = new Subject<string>()
  const remote = container({ details: details({ pid: 99 }) })
  let requests = 0
  const subscription = resources({
    ...treeOf(t, 'v2-systemd', fixtureId),
    containers: viewOf([remote]),
    intervalMs: 60_000,
    now: () => 777,
    forkBursts$,
    statsOnce: async () => {
      requests++
      return stats
    },
  })
    .observe()
    .subscribe()
  t.teardown(() => subscription.unsubscribe())
  await until(() => requests === 1)
  forkBursts$.next(remote.id)
  forkBursts$.next('e'.repeat(64))
  await new Promise((resolve) => setTimeout(resolve, 100))
  t.is(requests, 1)
})

test('files are opened only when the source is observed, and closed when it is unsubscribed', (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  const source = resources({ ...tree, containers: viewOf([container()]), intervalMs: 5, now: () => 0 })
  t.is(openBelow(tree.cgroupRoot), 0)
  return new Promise<void>((resolve) => {
    const subscription = source.observe().subscribe((seen) => {
      if (seen.kind !== 'resources') return
      t.true(openBelow(tree.cgroupRoot) > 0)
      setImmediate(() => {
        subscription.unsubscribe()
        t.is(openBelow(tree.cgroupRoot), 0)
        resolve()
      })
    })
  })
})

test('at most four requests run at the same time', async (t) => {
  const remote = Array.from({ length: 30 }, (_, index) => container({ name: `web-${index}`, details: null }))
  let running = 0
  let most = 0
  const seen = await observe(treeOf(t, 'v2-systemd', fixtureId), 31, {
    containers: viewOf(remote),
    intervalMs: 60_000,
    statsOnce: async () => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, 1))
      running--
      return stats
    },
  })
  t.is(seen.filter(({ kind }) => kind === 'resources').length, 30)
  t.is(most, 4)
})

function openBelow(folder: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder)
    } catch {
      return false
    }
  }).length
}
