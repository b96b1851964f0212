import { randomBytes } from 'node:crypto'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { filter, merge, share } from 'rxjs'
import { boundedArgv } from '../../../agent/sources/docker/client/bounded.ts'
import { createDockerClient } from '../../../agent/sources/docker/client/client.ts'
import { type Endpoint, endpointOf } from '../../../agent/sources/docker/client/endpoint.ts'
import { dockerEvents } from '../../../agent/sources/docker/events/event-stream.ts'
import { containerInventory } from '../../../agent/sources/docker/inventory/inventory.ts'
import { readOnlyDocker } from '../../../agent/sources/docker/client/read-only.ts'
import type {
  ContainerObservation,
  ExecEnded,
  ExecObservation,
  Observation,
} from '../../../agent/model/observation.ts'
import { docker, runContainer } from '../../support/docker.ts'
import { until as untilWithin } from '../../support/until.ts'

const endpoint = endpointOf({ env: process.env })

// The engine also serves other tests.
const until = (isSo: () => boolean) => untilWithin(isSo, 30_000)
test.beforeEach((t) => t.timeout(60_000))

/** Observes the engine through both sources, connected like in the daemon. */
async function watchEngine(t: ExecutionContext, at: Endpoint = endpoint) {
  const client = createDockerClient(at)
  const events$ = dockerEvents({ client, cursor: { load: () => null, save: () => {} }, now: Date.now })
    .observe()
    .pipe(share())
  const inventory = containerInventory({
    client,
    events$: events$.pipe(filter((seen) => seen.kind === 'docker-event')),
    reconcile$: events$.pipe(filter((seen) => seen.kind === 'source-status')),
    now: Date.now,
  })
  const seen: Observation[] = []
  const subscription = merge(inventory.observe(), events$).subscribe((observation) => seen.push(observation))
  t.teardown(() => subscription.unsubscribe())
  const isUp = (source: string) =>
    seen.some(
      (observation) =>
        observation.kind === 'source-status' && observation.source === source && observation.up,
    )
  await until(() => isUp('docker-events') && isUp('containers'))

  const of = (name: string) =>
    seen.filter(
      (observation): observation is ContainerObservation | ExecObservation | ExecEnded =>
        'container' in observation && observation.container?.name === name,
    )
  return {
    client,
    view: inventory.view,
    of,
    execsOf: (name: string) => of(name).filter((observation) => observation.kind === 'exec'),
    endsOf: (name: string) => of(name).filter((observation) => observation.kind === 'exec-ended'),
    actionsOf: (name: string) =>
      of(name).flatMap((observation) => (observation.kind === 'container' ? [observation.action] : [])),
  }
}

test('an exec is observed with its exact argv, user and terminal, and with its end', async (t) => {
  const { execsOf, endsOf } = await watchEngine(t)
  const { name } = await runContainer(t, ['--user=1000'])
  const script = 'echo "a  b: c"\n exit 3'
  t.is((await docker('exec', '--user=0:5', '--tty', name, 'sh', '-c', script, '', 'ünï')).exitCode, 3)
  await docker('exec', '--interactive', name, 'true')
  await until(() => endsOf(name).length === 2)
  const [first, second] = execsOf(name)
  t.like(first, {
    argv: ['sh', '-c', script, '', 'ünï'],
    exact: true,
    healthcheck: false,
    settings: { user: '0:5', tty: true, openStdin: false, privileged: false },
  })
  t.like(second, { argv: ['true'], settings: { user: '1000', tty: false, openStdin: true } })
  t.deepEqual(
    endsOf(name).map(({ execId, exitCode }) => [execId, exitCode]),
    [
      [first?.execId, 3],
      [second?.execId, 0],
    ],
  )
})

test('a health check is distinguished from a user who runs the same command', async (t) => {
  const { execsOf } = await watchEngine(t)
  const { name } = await runContainer(t, ['--user=1000', '--health-cmd=test -d /tmp', '--health-interval=1s'])
  await until(() => execsOf(name).length > 0)
  await docker('exec', '--user=0', name, '/bin/sh', '-c', 'test -d /tmp')
  await until(() => execsOf(name).some(({ settings }) => settings?.user === '0'))
  for (const { argv, settings, healthcheck } of execsOf(name)) {
    t.deepEqual(argv, ['/bin/sh', '-c', 'test -d /tmp'])
    t.is(healthcheck, settings?.user === '1000')
  }
})

test('a container that runs for milliseconds is reported with its name and exit code', async (t) => {
  const { actionsOf, of } = await watchEngine(t)
  const { name } = await runContainer(t, ['--rm'], ['sh', '-c', 'exit 9'])
  await until(() => actionsOf(name).includes('removed'))
  t.deepEqual(actionsOf(name), ['created', 'started', 'died', 'removed'])
  const died = of(name).find((seen) => seen.kind === 'container' && seen.action === 'died')
  t.like(died, { exitCode: 9, container: { image: 'tidewatch-test-busybox:latest' } })
})

test('a container from before the start is seen, with its running exec', async (t) => {
  const { name, id } = await runContainer(t)
  await docker('exec', '--detach', name, 'sleep', '77')
  const { actionsOf, execsOf, endsOf, view } = await watchEngine(t)
  await until(() => execsOf(name).length === 1)
  t.deepEqual(actionsOf(name), ['seen'])
  t.deepEqual(execsOf(name)[0]?.argv, ['sleep', '77'])
  t.true((view.get(id)?.details?.pid ?? 0) > 0)
  await docker('rm', '--force', name)
  await until(() => endsOf(name).length === 1)
  t.is(endsOf(name)[0]?.exitCode, 137)
})

test('labels that replace the engine’s own attributes hide neither an exec nor an exit code', async (t) => {
  const { execsOf, endsOf, of } = await watchEngine(t)
  const labels = [
    `--label=execID=${'f'.repeat(64)}`,
    '--label=exitCode=0',
    '--label=name=other',
    '--label=image=other',
  ]
  const { name } = await runContainer(t, labels, ['sh', '-c', 'sleep 600 & wait; exit 5'])
  await docker('exec', '--detach', name, 'sh', '-c', 'sleep 3; exit 6')
  await until(() => endsOf(name).length === 1)
  t.deepEqual(execsOf(name).find(({ exact }) => exact)?.argv, ['sh', '-c', 'sleep 3; exit 6'])
  t.is(endsOf(name)[0]?.exitCode, 6)
  await docker('kill', name)
  const died = () => of(name).find((seen) => seen.kind === 'container' && seen.action === 'died')
  await until(() => died() !== undefined)
  t.like(died(), { exitCode: 137, container: { name, image: 'tidewatch-test-busybox:latest' } })
})

test('an exec that cannot start ends with the engine’s exit code', async (t) => {
  const { endsOf, execsOf } = await watchEngine(t)
  const { name } = await runContainer(t)
  await docker('exec', name, 'missing-program')
  await until(() => endsOf(name).length === 1)
  t.deepEqual(execsOf(name)[0]?.argv, ['missing-program'])
  t.true([126, 127].includes(endsOf(name)[0]?.exitCode ?? 0))
})

test('an exec with an argv of 100 KB and newlines is observed, truncated and with its full length and digest', async (t) => {
  const { execsOf } = await watchEngine(t)
  const { name } = await runContainer(t)
  const long = 'x\n'.repeat(50_000)
  await docker('exec', name, 'true', long)
  await until(() => execsOf(name).length === 1)
  t.deepEqual(execsOf(name)[0]?.argv, boundedArgv(['true', long]))
  t.regex(execsOf(name)[0]?.argv[1] ?? '', /^x\nx\n.*…\[100000 characters, sha256 [0-9a-f]{16}\]$/s)
})

test('a rename, a pause and new limits are observed', async (t) => {
  const { of, actionsOf, view } = await watchEngine(t)
  const { name, id } = await runContainer(t, ['--memory=64m', '--memory-swap=64m'])
  const renamed = `${name}-renamed`
  await until(() => actionsOf(name).includes('started'))
  t.teardown(() => docker('rm', '--force', renamed))
  await docker('rename', name, renamed)
  await until(() => of(renamed).length === 1)
  t.like(of(renamed)[0], { previousName: name })
  await docker('pause', renamed)
  await until(() => view.get(id)?.state === 'paused')
  await docker('unpause', renamed)
  await docker('update', '--memory=32m', '--memory-swap=32m', renamed)
  await until(() => of(renamed).length === 4)
  t.deepEqual(actionsOf(renamed), ['renamed', 'paused', 'unpaused', 'updated'])
  t.is(view.get(id)?.details?.limits.memoryBytes, 32 * 1024 * 1024)
  t.is(view.get(id)?.state, 'running')
})

test('containers whose labels make the list too long for one answer are listed page by page', async (t) => {
  const label = `large=${'x'.repeat(20_000)}`
  const created = []
  for (let index = 0; index < 4; index += 1) created.push((await runContainer(t, ['--label', label])).id)
  // One of them fits into a response, two do not.
  const client = createDockerClient(endpoint, { timeoutMs: 10_000, maxBodyBytes: 30_000 })
  const listed = await client.listContainers()
  const ids = new Set(listed.map(({ id }) => id))
  t.deepEqual(
    created.filter((id) => !ids.has(id)),
    [],
  )
  t.is(ids.size, listed.length)
})

test('access to the engine is read-only: a proxy between sources and engine sees only GET requests', async (t) => {
  const { methods, at } = await recordingProxy(t)
  const { client, endsOf, actionsOf } = await watchEngine(t, at)
  const { name, id } = await runContainer(t, ['--health-cmd=true', '--health-interval=1s'])
  await docker('exec', name, 'true')
  await client.info()
  t.not(await client.statsOnce(id), null)
  await until(() => endsOf(name).length > 1)
  await docker('rm', '--force', name)
  await until(() => actionsOf(name).includes('removed'))
  // The version, events, a list, inspects of the container and its execs, and the requests of this test; some
  // coincide.
  t.true(methods().length > 6)
  t.deepEqual([...new Set(methods())], ['GET'])
})

test('a request other than GET is refused before it is sent', async (t) => {
  const { methods, at } = await recordingProxy(t)
  const engine = readOnlyDocker(at)
  for (const request of [
    () => engine.createContainer({ Image: 'x' }),
    () => engine.getContainer('x').kill(),
    () => engine.getContainer('x').remove(),
    () => engine.getContainer('x').exec({ Cmd: ['id'] }),
    () => engine.getContainer('x').putArchive('/nonexistent', { path: '/' }),
    () => engine.ping().then(() => engine.pruneContainers()),
  ]) {
    await t.throwsAsync(async () => await request(), {
      message: /^refused to send \w+ .*: only GET requests are allowed$/,
    })
  }
  t.deepEqual(methods(), ['GET'])
})

/** Proxies the real engine and records the method of every request. */
async function recordingProxy(t: ExecutionContext): Promise<{ at: Endpoint; methods: () => string[] }> {
  if (endpoint.kind !== 'unix') throw new Error('these tests need the engine of this host')
  const path = join(tmpdir(), `tidewatch-test-proxy-${randomBytes(6).toString('hex')}.sock`)
  const received: Buffer[] = []
  const proxy = createServer((client) => {
    const engine = connect(endpoint.path)
    client.on('data', (chunk) => received.push(chunk))
    client.pipe(engine).pipe(client)
    client.on('close', () => engine.destroy())
    engine.on('close', () => client.destroy())
    client.on('error', () => {})
    engine.on('error', () => {})
    t.teardown(() => client.destroy())
  })
  await new Promise<void>((resolve) => proxy.listen(path, resolve))
  t.teardown(() => proxy.close())
  const methods = () =>
    [
      ...Buffer.concat(received)
        .toString()
        .matchAll(/^([A-Z]+) \S+ HTTP\/1\.1\r$/gm),
    ].map((match) => match[1] ?? '')
  return { at: { kind: 'unix', path }, methods }
}
