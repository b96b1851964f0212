import { setTimeout as sleep } from 'node:timers/promises'
import anyTest, { type ExecutionContext, type TestFn } from 'ava'
import { startAlertmanager } from '../support/alertmanager.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { type Daemon, type DaemonOptions, startDaemonFor } from '../support/daemon.ts'
import { privateEngine, type PrivateEngine } from '../support/private-engine.ts'
import { until } from '../support/until.ts'

const test = anyTest as TestFn<{ engine: PrivateEngine; image: string }>

test.before(async (t) => {
  t.context = { engine: await privateEngine(), image: await busyboxImage() }
})

test.after.always(async ({ context: { engine } }) => await engine?.remove())

/** Starts a daemon for the private engine; it stops with the test. */
async function daemonOn(
  t: ExecutionContext<{ engine: PrivateEngine }>,
  options: DaemonOptions = {},
): Promise<Daemon> {
  return await startDaemonFor(t, {
    ...options,
    args: [`--docker.host=${t.context.engine.host}`, ...(options.args ?? [])],
  })
}

/**
 * The numbers N of the reported commands `true N` in a test's containers, sorted, with duplicates. A daemon also gets
 * events from the second before its start, which belong to the previous test, and sees containers of other engines.
 */
function numbersOf(daemon: Pick<Daemon, 'findings'>, box: string): number[] {
  const found = daemon
    .findings({ detector: 'exec-into-container' })
    .filter(({ container }) => container?.name.startsWith(box))
  return found.map(({ evidence }) => Number((evidence['argv'] as string[])[1])).toSorted((a, b) => a - b)
}

/** Findings about lost engine events only: other tests may start more processes than the daemon can process. */
function lossesOf(daemon: Pick<Daemon, 'findings'>) {
  return daemon
    .findings({ detector: 'monitor-integrity' })
    .filter(({ evidence }) => evidence['source'] === 'docker-events')
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)

test.serial('a restart of the engine neither loses nor repeats an exec', async (t) => {
  const { engine, image } = t.context
  const daemon = await daemonOn(t)
  await engine.docker('run', '-d', '--stop-timeout=1', '--name', 'box-a', image, 'sleep', '600')
  for (const n of range(0, 10)) await engine.docker('exec', 'box-a', 'true', String(n))
  await engine.stop()
  await until(async () => (await daemon.metric('tidewatch_source_up{source="docker-events"}')) === 0)
  await engine.start()
  await engine.docker('start', 'box-a')
  for (const n of range(10, 20)) await engine.docker('exec', 'box-a', 'true', String(n))
  await until(() => numbersOf(daemon, 'box-a').length >= 20, 30_000)
  await sleep(1_000)
  t.deepEqual(numbersOf(daemon, 'box-a'), range(0, 20))
  t.is(await daemon.metric('tidewatch_source_up{source="docker-events"}'), 1)
  t.is(await daemon.metric('tidewatch_docker_event_gaps_total'), 0)
  t.deepEqual(lossesOf(daemon), [])
})

test.serial('the daemon reconnects to an engine that was killed, and reports later execs', async (t) => {
  const { engine, image } = t.context
  const daemon = await daemonOn(t)
  await engine.docker('run', '-d', '--stop-timeout=1', '--name', 'box-b', image, 'sleep', '600')
  await engine.docker('exec', 'box-b', 'true', '1')
  await until(() => numbersOf(daemon, 'box-b').length === 1)
  await engine.stop('SIGKILL')
  await engine.start()
  await engine.docker('start', 'box-b').catch(() => undefined)
  await until(async () => (await daemon.metric('tidewatch_source_up{source="docker-events"}')) === 1, 30_000)
  await engine.docker('run', '-d', '--stop-timeout=1', '--name', 'box-b2', image, 'sleep', '600')
  await engine.docker('exec', 'box-b2', 'true', '2')
  await until(() => numbersOf(daemon, 'box-b').length === 2)
  t.deepEqual(numbersOf(daemon, 'box-b'), [1, 2])
})

test.serial('a daemon that is stopped or killed and restarted reports every exec once', async (t) => {
  const { engine, image } = t.context
  await engine.docker('run', '-d', '--stop-timeout=1', '--name', 'box-c', image, 'sleep', '600')
  let daemon = await daemonOn(t)
  let next = 0
  const exec = async (count: number) => {
    for (const n of range(next, next + count)) await engine.docker('exec', 'box-c', 'true', String(n))
    next += count
  }
  for (const signal of ['SIGKILL', 'SIGTERM', 'SIGKILL'] as const) {
    await exec(8)
    t.is(await daemon.stop(signal), signal === 'SIGTERM' ? 0 : 'SIGKILL')
    await exec(8)
    daemon = await daemonOn(t, { stateDirectory: daemon.stateDirectory })
  }
  await exec(4)
  await until(() => numbersOf(daemon, 'box-c').length >= next)
  await sleep(1_000)
  t.deepEqual(numbersOf(daemon, 'box-c'), range(0, next))
})

test.serial('a gap in the event stream that the engine cannot fill is reported', async (t) => {
  const { engine, image } = t.context
  const id = await engine.docker('run', '-d', '--stop-timeout=1', '--name', 'box-d', image, 'sleep', '600')
  let daemon = await daemonOn(t)
  await engine.docker('exec', 'box-d', 'true', '0')
  await until(() => numbersOf(daemon, 'box-d').length === 1)
  await sleep(6_000)
  await engine.docker('exec', 'box-d', 'true', '1')
  await until(() => numbersOf(daemon, 'box-d').length === 2)
  await daemon.stop()
  await engine.docker('exec', 'box-d', 'sh', '-c', 'true')
  // Each rename is one event; the engine keeps the last 256.
  for (const n of range(0, 300)) await engine.api('POST', `/containers/${id.trim()}/rename?name=box-d${n}`)
  daemon = await daemonOn(t, { stateDirectory: daemon.stateDirectory })
  await until(async () => (await daemon.metric('tidewatch_docker_event_gaps_total')) === 1)
  const [lost] = await until(() => {
    const found = lossesOf(daemon)
    return found.length > 0 && found
  })
  t.is(lost?.rule, 'events-lost')
  t.like(lost?.evidence, { source: 'docker-events', reason: 'gap' })
})

test.serial(
  'a queued finding reaches an Alertmanager that was down, even if the daemon was killed',
  async (t) => {
    const { engine, image } = t.context
    const first = await startAlertmanager()
    await first.stop()
    const config = { alertmanagers: [{ url: first.url, min_severity: 'info' }] }
    const killed = await daemonOn(t, { config })
    await engine.docker('run', '-d', '--stop-timeout=1', '--name', 'box-e', image, 'sleep', '600')
    await engine.docker('exec', 'box-e', 'true', '1')
    const [finding] = await until(() => {
      const found = killed.findings({ detector: 'exec-into-container', container: 'box-e' })
      return found.length > 0 && found
    })
    await killed.stop('SIGKILL')
    const daemon = await daemonOn(t, { config, stateDirectory: killed.stateDirectory })
    t.true(
      ((await daemon.metric(
        `tidewatch_notification_queue_length{receiver="alertmanager/${new URL(first.url).host}"}`,
      )) ?? 0) >= 1,
    )
    const alertmanager = await startAlertmanager({ port: Number(new URL(first.url).port) })
    t.teardown(alertmanager.remove)
    const alert = await until(
      async () =>
        (await alertmanager.alerts()).find(({ annotations }) => annotations['finding_id'] === finding?.id),
      90_000,
    )
    await first.remove()
    t.is(alert.labels['rule'], 'exec-command')
  },
)
