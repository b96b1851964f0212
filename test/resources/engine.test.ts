import { createInterface } from 'node:readline'
import test, { type ExecutionContext } from 'ava'
import { EMPTY, filter, merge, share, Subject } from 'rxjs'
import type { Container } from '../../agent/model/container.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { ContainerAction, ContainerObservation, Observation } from '../../agent/model/observation.ts'
import { resources } from '../../agent/resources/resources.ts'
import { usageOfStats } from '../../agent/resources/docker-stats.ts'
import { resourceLimitBreach } from '../../detectors/resource-limit-breach.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { docker, run, start } from '../support/processes.ts'
import { until } from '../support/until.ts'
import { emptyMemory } from '../support/observed.ts'
import { container, details, viewOf } from './samples.ts'

const kernel = { procRoot: '/proc', cgroupRoot: '/sys/fs/cgroup', now: Date.now }
const limits = ['--memory=32m', '--memory-swap=32m', '--cpus=0.5', '--pids-limit=20']

test('a running container is sampled as the engine counts it', async (t) => {
  const web = await runContainer(t, 'sampled', [...limits], 'sleep', '600')
  const [observed] = await observations(t, [web], 1)
  const api = usageOfStats(await statsOnce(web.id), { memoryBytes: 32 * 2 ** 20, cpus: 0.5, pids: 20 })
  if (observed?.kind !== 'resources' || api === null) throw new Error('no sample')

  t.is(observed.memory.limitBytes, 32 * 2 ** 20)
  t.deepEqual(observed.memory.limitBytes, api.memory.limitBytes)
  t.deepEqual(observed.pids, { current: 1, limit: 20 })
  t.deepEqual(observed.pids, api.pids)
  t.is(observed.cpu.quotaCores, 0.5)
  t.is(observed.memory.oomKills, 0)
  t.true(Math.abs(observed.memory.workingSetBytes - api.memory.workingSetBytes) < 2 ** 20)
  t.true(Math.abs(observed.cpu.usageSeconds - api.cpu.usageSeconds) < 0.5)
})

test('a container without limits has none', async (t) => {
  const web = await runContainer(t, 'unlimited', [], 'sleep', '600')
  const [observed] = await observations(t, [web], 1)
  t.like(observed, { memory: { limitBytes: null }, cpu: { quotaCores: null }, pids: { limit: null } })
})

test('a container that is removed while it is sampled vanishes without a word', async (t) => {
  const web = await runContainer(t, 'removed', [], 'sleep', '600')
  const other = await runContainer(t, 'staying', [], 'sleep', '600')
  const seen: Observation[] = []
  const subscription = resources({ ...kernel, containers: viewOf([web, other]), intervalMs: 20 })
    .observe()
    .subscribe((observation) => seen.push(observation))
  t.teardown(() => subscription.unsubscribe())
  await until(() => samplesOf(seen, web) > 0)
  await docker('rm', '-f', web.id)
  const gone = samplesOf(seen, web)
  const staying = samplesOf(seen, other)
  await until(() => samplesOf(seen, other) > staying + 3)
  t.is(samplesOf(seen, web), gone)
  t.is(seen.filter(({ kind }) => kind === 'source-status').length, 1)
})

test('a first process that is killed for want of memory is one finding, however both voices tell of it', async (t) => {
  const web = await runContainer(t, 'killed', limits, 'sh', '-c', 'sleep 2; exec tail /dev/zero')
  const detections = await detectionsUntil(t, web, 'died')
  t.deepEqual(
    detections.map(({ rule }) => rule),
    ['container-oom-killed'],
  )
  t.is(detections[0]?.evidence['exit_code'], 137)
  t.is(detections[0]?.evidence['limit_bytes'], 32 * 2 ** 20)
})

test('an executed child that is killed for want of memory is one finding, and the container lives', async (t) => {
  const web = await runContainer(t, 'child', limits, 'sleep', '600')
  const killed = detectionsUntil(t, web, 'oom')
  await t.throwsAsync(docker('exec', web.id, 'tail', '/dev/zero'))
  t.deepEqual(
    (await killed).map(({ rule }) => rule),
    ['oom-kill'],
  )
  t.is(await docker('inspect', '-f', '{{.State.Running}}', web.id), 'true\n')
  const [observed] = await observations(t, [web], 1)
  t.like(observed, { kind: 'resources', memory: { oomKills: 1 } })
})

/** What source and detector make of a container, until two seconds after something befell it. */
async function detectionsUntil(
  t: ExecutionContext,
  watched: Container,
  end: ContainerAction,
): Promise<readonly Detection[]> {
  const containers$ = new Subject<ContainerObservation>()
  const running = [watched]
  const source$ = resources({ ...kernel, containers: viewOf(running), intervalMs: 100 })
    .observe()
    .pipe(share())
  const silent = {
    memory: emptyMemory(),
    execs$: EMPTY,
    execEnds$: EMPTY,
    execCallers$: EMPTY,
    processes$: EMPTY,
    runtimeFiles$: EMPTY,
  }
  const resources$ = source$.pipe(filter((seen) => seen.kind === 'resources'))
  const observed = { ...silent, resources$, containers$, sourceStatuses$: EMPTY, eventsLost$: EMPTY }
  const detections: Detection[] = []
  let hasSample = false
  const subscription = merge(
    resourceLimitBreach.detect(observed, resourceLimitBreach.settings.parse({})),
    resources$,
  ).subscribe((seen) => {
    if ('rule' in seen) detections.push(seen)
    else hasSample = true
  })
  t.teardown(() => subscription.unsubscribe())

  const seen: ContainerAction[] = []
  await followEvents(t, watched, (observation) => {
    if (observation.action === 'died') running.length = 0
    seen.push(observation.action)
    containers$.next(observation)
  })
  await until(() => hasSample)
  await until(() => seen.includes(end), 30_000)
  await new Promise((resolve) => setTimeout(resolve, 2_000))
  return detections.filter(({ state }) => state === undefined)
}

const actions: Readonly<Record<string, ContainerAction>> = { oom: 'oom', die: 'died', start: 'started' }

type Event = { Action: string; timeNano: number; Actor: { Attributes: Record<string, string> } }

/** The engine's events of one container, from its start on. */
async function followEvents(
  t: ExecutionContext,
  watched: Container,
  see: (observation: ContainerObservation) => void,
): Promise<void> {
  const since = await docker('inspect', '-f', '{{.Created}}', watched.id)
  const filters = ['--since', since.trim(), '--filter', `container=${watched.id}`]
  const events = start('docker', ['events', ...filters, '--format', '{{json .}}'])
  t.teardown(() => events.stop())
  createInterface({ input: events.process.stdout! }).on('line', (line) => {
    const { Action, timeNano, Actor } = JSON.parse(line) as Event
    const action = actions[Action]
    if (action === undefined) return
    const exitCode = action === 'died' ? Number(Actor.Attributes['exitCode']) : null
    const time = timeNano / 1e6
    see({ kind: 'container', time, action, container: watched, exitCode, previousName: null })
  })
}

async function observations(
  t: ExecutionContext,
  running: Container[],
  count: number,
): Promise<Observation[]> {
  const seen: Observation[] = []
  const subscription = resources({ ...kernel, containers: viewOf(running), intervalMs: 50 })
    .observe()
    .subscribe((observation) => seen.push(observation))
  t.teardown(() => subscription.unsubscribe())
  await until(() => seen.length > count)
  t.like(seen[0], { kind: 'source-status', up: true, best: true })
  return seen.slice(1)
}

function samplesOf(seen: readonly Observation[], of: Container): number {
  return seen.filter((one) => one.kind === 'resources' && one.container.id === of.id).length
}

async function statsOnce(id: string): Promise<unknown> {
  const url = `http://localhost/containers/${id}/stats?stream=false&one-shot=true`
  return JSON.parse(await run('curl', '-s', '--unix-socket', '/var/run/docker.sock', url))
}

async function runContainer(
  t: ExecutionContext,
  suffix: string,
  options: readonly string[],
  ...command: string[]
): Promise<Container> {
  const name = `tidewatch-test-resources-${suffix}-${process.pid}`
  const image = await busyboxImage()
  const id = (await docker('run', '-d', '--name', name, ...options, image, ...command)).trim()
  t.teardown(() => docker('rm', '-f', id).catch(() => undefined))
  const pid = Number(await docker('inspect', '-f', '{{.State.Pid}}', id))
  return container({ id, name, image, details: details({ pid }) })
}
