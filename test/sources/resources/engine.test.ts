import test from 'ava'
import type { Detection } from '../../../agent/model/finding.ts'
import { cgroupReader } from '../../../agent/sources/resources/cgroup-reader.ts'
import { usageOfStats } from '../../../agent/sources/resources/docker-stats.ts'
import { docker } from '../../support/processes.ts'
import { patience, until } from '../../support/until.ts'
import {
  firstSample,
  followEvents,
  kernel,
  lastSample,
  observe,
  runContainer,
  reportedRules,
  samplesOf,
  statsOnce,
  watch,
  type Watched,
} from './live.ts'

// The real behaviour of the kernel's cgroups and the engine, with the cgroup version that this host has.

const mib = 2 ** 20
const limits = ['--memory=32m', '--memory-swap=32m', '--cpus=0.5', '--pids-limit=20']

test('a running container is sampled as the engine counts it', async (t) => {
  const web = await runContainer(t, 'sampled', limits, 'sleep', '600')
  const observed = await firstSample(observe(t, [web]))
  const api = usageOfStats(await statsOnce(web.id), { memoryBytes: 32 * mib, cpus: 0.5, pids: 20 })
  if (api === null) throw new Error('the engine returned no statistics')

  t.is(observed.memory.limitBytes, 32 * mib)
  t.is(observed.memory.limitBytes, api.memory.limitBytes)
  t.deepEqual(observed.pids, { current: 1, limit: 20, refusedForks: 0 })
  t.like(api.pids, { current: 1, limit: 20 })
  t.is(observed.cpu.quotaCores, 0.5)
  t.is(observed.memory.oomKills, 0)
  t.true(Math.abs(observed.memory.workingSetBytes - api.memory.workingSetBytes) < mib)
  t.true(Math.abs(observed.cpu.usageSeconds - api.cpu.usageSeconds) < 0.5)
})

test('pressure and block IO of a container are counted', async (t) => {
  const script = 'dd if=/dev/zero of=/file bs=1M count=8 conv=fsync; sleep 600'
  const seen = observe(t, [await runContainer(t, 'io', [], 'sh', '-c', script)])
  await until(() => (lastSample(seen)?.pressure.io?.someSeconds ?? 0) > 0)
  const written = () => lastSample(seen)?.blockIo?.writtenBytes
  // Newer kernels do not count it with version 1.
  await until(() => written() === undefined || Number(written()) >= 8 * mib)
  t.pass()
})

test('a container without limits is one condition', async (t) => {
  const web = await runContainer(t, 'unlimited', [], 'sleep', '600')
  const watched = await watch(t, web)
  await until(() => watched.samples.length > 3)
  const [sample] = watched.samples
  t.like(sample, { memory: { limitBytes: null }, cpu: { quotaCores: null } })
  t.deepEqual(reportedRules(watched), ['no-limits firing'])
  // systemd sets a process limit on every container that it manages (DefaultTasksMax).
  const missing = sample?.pids.limit === null ? ['memory', 'cpu', 'pids'] : ['memory', 'cpu']
  t.deepEqual(watched.detections[0]?.evidence['missing'], missing)
})

test('a container that is removed while it is sampled vanishes without an error', async (t) => {
  const web = await runContainer(t, 'removed', [], 'sleep', '600')
  const other = await runContainer(t, 'staying', [], 'sleep', '600')
  const seen = observe(t, [web, other], 20)
  await until(() => samplesOf(seen, web) > 0)
  await docker('rm', '-f', web.id)
  const gone = samplesOf(seen, web)
  const staying = samplesOf(seen, other)
  await until(() => samplesOf(seen, other) > staying + 3)
  t.is(samplesOf(seen, web), gone)
  t.is(seen.filter(({ kind }) => kind === 'source-status').length, 1)
})

test('a limit that is changed while the container runs is seen', async (t) => {
  const web = await runContainer(t, 'updated', limits, 'sleep', '600')
  const seen = observe(t, [web])
  await firstSample(seen)
  await docker('update', '--memory=64m', '--memory-swap=64m', '--cpus=1', '--pids-limit=30', web.id)
  const changed = await until(() => {
    const sample = lastSample(seen)
    return sample?.memory.limitBytes === 64 * mib && sample.pids.limit === 30 && sample
  })
  t.is(changed.cpu.quotaCores, 1)
})

test('a paused container is still sampled and causes no finding', async (t) => {
  const web = await runContainer(t, 'paused', limits, 'sleep', '600')
  const watched = await watch(t, web)
  await until(() => watched.samples.length > 0)
  await docker('pause', web.id)
  t.teardown(() => docker('unpause', web.id).catch(() => undefined))
  const before = watched.samples.length
  await until(() => watched.samples.length > before + 5)
  await docker('unpause', web.id)
  t.deepEqual(reportedRules(watched), [])
})

test('filling memory is near its limit, and freeing it resolves that', async (t) => {
  const script =
    'for i in 1 2 3 4 5 6 7 8 9; do dd if=/dev/zero of=/fill/$i bs=1M count=13; sleep 0.1; done; ' +
    'while [ ! -e /tmp/empty ]; do sleep 0.2; done; rm /fill/*; sleep 600'
  const options = ['--memory=128m', '--memory-swap=128m', '--cpus=0.5', '--pids-limit=20', '--tmpfs=/fill']
  const web = await runContainer(t, 'filled', options, 'sh', '-c', script)
  const watched = await watch(t, web, { memory: { hold: '500ms', resolve_hold: '1s' } })
  await until(() => reportedRules(watched).includes('memory-near-limit firing'))
  t.true(Number(watched.detections[0]?.evidence['ratio']) >= 0.9)
  await docker('exec', web.id, 'touch', '/tmp/empty')
  await until(() => reportedRules(watched).includes('memory-near-limit resolved'))
  t.regex(watched.detections.at(-1)?.summary ?? '', /^memory below 80 % of the limit for 1 s \(now \d+ %\)$/)
})

test('memory that is filled and freed again and again is near its limit once', async (t) => {
  const script =
    'while [ ! -e /tmp/stop ]; do for i in 1 2 3 4 5 6 7 8 9; do dd if=/dev/zero of=/fill/$i bs=1M count=13; done 2> /dev/null; ' +
    'sleep 1; rm /fill/*; sleep 1; done; sleep 600'
  const options = ['--memory=128m', '--memory-swap=128m', '--cpus=1', '--pids-limit=20', '--tmpfs=/fill']
  const web = await runContainer(t, 'flapping', options, 'sh', '-c', script)
  const watched = await watch(t, web, { memory: { hold: '200ms', resolve_hold: '5s' } })
  const peaks = () => {
    const near = watched.samples.map(
      ({ memory }) => memory.workingSetBytes / (memory.limitBytes ?? Infinity) >= 0.9,
    )
    return near.filter((isNear, index) => isNear && !near[index - 1]).length
  }
  await until(() => peaks() >= 4, 60_000)
  t.deepEqual(reportedRules(watched), ['memory-near-limit firing'])
  await docker('exec', web.id, 'touch', '/tmp/stop')
  await until(() => reportedRules(watched).includes('memory-near-limit resolved'), 30_000)
})

test('page cache that fills a container does not count as near its limit', async (t) => {
  const script = 'dd if=/dev/zero of=/big bs=1M count=100; cat /big /big > /dev/null; touch /done; sleep 600'
  const web = await runContainer(t, 'cache', limits, 'sh', '-c', script)
  const watched = await watch(t, web, { memory: { hold: '500ms' } })
  await until(() => docker('exec', web.id, 'ls', '/done'), 60_000)
  // The cache stays full, however fast it was filled; wait longer than `hold` of the near-limit rule.
  const filled = watched.samples.length
  await until(() => watched.samples.length > filled + 3)
  t.deepEqual(reportedRules(watched), [])
})

test('a first process that is OOM-killed is one finding, whatever reports it first', async (t) => {
  // It waits until it is watched, which takes more than a few seconds on an emulated host.
  const script = 'until [ -e /go ]; do sleep 0.1; done; exec tail /dev/zero'
  const web = await runContainer(t, 'killed', limits, 'sh', '-c', script)
  const watched = await watch(t, web)
  await docker('exec', web.id, 'touch', '/go')
  await until(() => watched.actions.includes('died') && watched.actions.includes('oom'), 60_000)
  await until(() => eventsOf(watched).length > 0)
  t.deepEqual(
    eventsOf(watched).map(({ rule }) => rule),
    ['container-oom-killed'],
  )
  t.is(eventsOf(watched)[0]?.evidence['exit_code'], 137)
  t.is(eventsOf(watched)[0]?.evidence['limit_bytes'], 32 * mib)
})

test('an executed child that is OOM-killed is one finding, and the container survives', async (t) => {
  const web = await runContainer(t, 'child', limits, 'sleep', '600')
  const watched = await watch(t, web)
  await until(() => watched.samples.length > 0)
  await t.throwsAsync(docker('exec', web.id, 'tail', '/dev/zero'))
  await until(() => watched.actions.includes('oom') && eventsOf(watched).length > 0, 60_000)
  // A further sample shows that there was no further kill.
  const { length } = watched.samples
  await until(() => watched.samples.length > length + 1)
  t.deepEqual(
    eventsOf(watched).map(({ rule }) => rule),
    ['oom-kill'],
  )
  t.is(await docker('inspect', '-f', '{{.State.Running}}', web.id), 'true\n')
  t.like(watched.samples.at(-1), { memory: { oomKills: 1 }, firstProcess: 'running' })
})

test.serial('an OOM kill is reported within 100 ms, however rarely the container is sampled', async (t) => {
  const web = await runContainer(t, 'at-once', limits, 'sleep', '600')
  const seen = observe(t, [web], 60_000)
  await firstSample(seen)
  let reportedAt: number | undefined
  await followEvents(t, web, ({ action }) => {
    if (action === 'oom') reportedAt ??= performance.now()
  })
  const reader = cgroupReader({ ...kernel, onNotice: () => undefined })
  t.teardown(() => reader.close())
  const isKilled = () => {
    const reading = reader.read(web)
    return reading.outcome === 'read' && (reading.usage.memory.oomKills ?? 0) > 0
  }
  const exec = docker('exec', web.id, 'tail', '/dev/zero').catch(() => undefined)
  while (!isKilled()) await new Promise((resolve) => setTimeout(resolve, 2))
  const killedAt = performance.now()
  await until(() => {
    // Version 2 announces it to the source, version 1 to the engine.
    if ((lastSample(seen)?.memory.oomKills ?? 0) > 0) reportedAt ??= performance.now()
    return reportedAt !== undefined
  })
  t.true((reportedAt ?? Infinity) - killedAt < 100 * patience)
  await exec
})

test('forks that are refused at the limit are one finding', async (t) => {
  const web = await runContainer(t, 'bomb', limits, 'sleep', '600')
  const watched = await watch(t, web)
  await until(() => watched.samples.length > 0)
  const bomb = 'while :; do sleep 600 & done'
  await t.throwsAsync(docker('exec', web.id, 'sh', '-c', bomb))
  const rulesOf = () => eventsOf(watched).flatMap(({ rule, also = [] }) => [rule, ...also])
  await until(() => rulesOf().includes('pids-limit-hit') && rulesOf().includes('process-burst'))
  const events = eventsOf(watched)
  t.deepEqual([...new Set(events.flatMap(({ rule, also = [] }) => [rule, ...also]))].toSorted(), [
    'pids-limit-hit',
    'process-burst',
  ])
  t.is(events.filter(({ rule, isUpdate }) => rule === 'pids-limit-hit' && isUpdate !== true).length, 1)
  t.true(Number(events.find(({ rule }) => rule === 'pids-limit-hit')?.evidence['refused_forks']) > 0)
})

test('a busy loop under a quota is throttled', async (t) => {
  const options = ['--cpus=0.1', '--memory=32m', '--pids-limit=20']
  const web = await runContainer(t, 'throttled', options, 'sh', '-c', 'while :; do :; done')
  const watched = await watch(t, web, { cpu: { hold: '1s' } })
  await until(() => reportedRules(watched).includes('cpu-throttled firing'))
  const [finding] = watched.detections
  t.true(Number(finding?.evidence['throttled_ratio']) > 0.25)
  t.is(finding?.evidence['quota_cores'], 0.1)
})

test('a container that exits and is restarted repeatedly is in a restart loop', async (t) => {
  const web = await runContainer(t, 'loop', [...limits, '--restart=always'], 'sh', '-c', 'exit 3')
  const watched = await watch(t, web)
  await until(() => reportedRules(watched).includes('restart-loop firing'), 30_000)
  t.like(watched.detections[0]?.evidence, { restarts: 3, exit_codes: [3, 3, 3] })
  await docker('rm', '-f', web.id)
  await until(() => reportedRules(watched).includes('restart-loop resolved'))
})

/** The detections that are not conditions. */
function eventsOf({ detections }: Watched): Detection[] {
  return detections.filter(({ state }) => state === undefined)
}
