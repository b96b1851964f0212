import { spawn } from 'node:child_process'
import { chmod, chown, mkdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test, { type ExecutionContext } from 'ava'
import { readFindings } from '../../agent/store/read.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { startDaemonFor, tidewatch } from '../support/daemon.ts'
import { removeContainers } from '../support/docker.ts'
import { execByApi } from '../support/engine-api.ts'
import { docker, run, start } from '../support/processes.ts'
import { until } from '../support/until.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const prefix = `tidewatch-test-failures-${process.pid}`
const main = join(import.meta.dirname, '../../agent/main.ts')

test.after.always(async () => {
  await removeContainers(prefix)
})

async function scratch(t: ExecutionContext): Promise<string> {
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

async function runContainer(name: string): Promise<string> {
  await docker('run', '-d', '--name', `${prefix}-${name}`, await busyboxImage(), 'sleep', '600')
  return `${prefix}-${name}`
}

test.serial('without an engine the daemon serves its metrics and logs one line with the cause', async (t) => {
  const daemon = await startDaemonFor(t, { args: ['--docker.host=unix:///nowhere/docker.sock'] })
  t.is(await daemon.metric('tidewatch_source_up{source="docker-events"}'), 0)
  t.is(await daemon.metric('tidewatch_source_up{source="runtime-files"}'), 1)
  const reason =
    'cannot reach the Docker Engine at unix:///nowhere/docker.sock: is docker.service running? Otherwise set --docker.host'
  t.true(daemon.output().includes(`source docker-events is down: ${reason}`), daemon.output())
  t.is(daemon.output().split('"message":"source docker-events is down').length - 1, 1)
})

test.serial(
  'without permission for the engine’s socket, the log and the status page explain how to get it',
  async (t) => {
    const directory = await scratch(t)
    await chmod(directory, 0o755)
    const socket = join(directory, 'docker.sock')
    const server = createServer().listen(socket)
    t.teardown(() => server.close())
    await until(() => chmod(socket, 0o600).then(() => true))
    const state = join(directory, 'state')
    await mkdir(state)
    await chown(state, 65_534, 65_534)
    const running = start('setpriv', [
      ...[
        '--reuid=65534',
        '--regid=65534',
        '--clear-groups',
        process.execPath,
        main,
        'run',
        '--log.format=json',
      ],
      ...[`--docker.host=unix://${socket}`, `--state.directory=${state}`, '--web.listen-address=127.0.0.1:0'],
    ])
    t.teardown(() => running.stop('SIGKILL'))
    const url = await until(() => /"url":"(http:[^"]+)"/.exec(running.output())?.[1])
    await until(async () => (await fetch(`${url}/-/ready`)).ok)
    t.regex(
      running.output(),
      /permission denied for the Docker Engine at .*: add the user to the group docker, or run as root/,
    )
    const page = await (await fetch(`${url}/`)).text()
    t.regex(page, /add the user to the group docker/)
    t.is(await running.stop(), 0)
  },
)

test.serial('with a read-only state directory the daemon runs and stores findings in memory', async (t) => {
  const directory = await scratch(t)
  const readOnly = join(directory, 'ro')
  await mkdir(readOnly)
  await run('mount', '-t', 'tmpfs', '-o', 'ro', 'tmpfs', readOnly)
  t.teardown(() => run('umount', readOnly))
  const daemon = await startDaemonFor(t, { args: [`--state.directory=${readOnly}`] })
  t.is(await daemon.metric('tidewatch_store_up'), 0)
  t.regex(daemon.output(), /findings are stored in memory and would be lost in a crash/)
  const container = await runContainer('ro')
  await docker('exec', container, 'true')
  await until(async () =>
    (await daemon.metrics()).includes(`tidewatch_container_findings_total{container="${container}"`),
  )
})

test.serial(
  'the daemon survives a full state directory, and stores the findings once there is space again',
  async (t) => {
    const directory = await scratch(t)
    const small = join(directory, 'small')
    await mkdir(small)
    // Enough for the findings in containers of other tests too: in the end, all of them must fit.
    const megabytes = 32
    await run('mount', '-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', small)
    t.teardown(() => run('umount', '-l', small))
    const daemon = await startDaemonFor(t, { args: [`--state.directory=${small}`] })
    const container = await runContainer('full')
    let count = 0
    const exec = async () => await execByApi(container, ['true', 'x'.repeat(1_000), String(count++)])
    await writeFile(join(small, 'ballast'), Buffer.alloc(megabytes * 1_048_576)).catch(() => undefined)
    // Checks the log, because the state may change again: closing the file frees its write-ahead log.
    await until(async () => {
      await exec()
      return daemon.output().includes('findings are stored in memory')
    })
    for (let more = 0; more < 5; more += 1) await exec()
    const labels = `container="${container}",image="${await busyboxImage()}",detector="exec-into-container",rule="exec-command",severity="info"`
    await until(async () => (await daemon.metric(`tidewatch_container_findings_total{${labels}}`)) === count)
    await rm(join(small, 'ballast'))
    const stored = () =>
      readFindings(small, { since: 0, container, detector: 'exec-into-container' }).map(({ evidence }) =>
        Number((evidence['argv'] as string[]).at(-1)),
      )
    const all = Array.from({ length: count }, (_, number) => number)
    await until(() => stored().length >= count)
    t.deepEqual(
      stored().toSorted((one, other) => one - other),
      all,
    )
    t.is(await daemon.metric('tidewatch_store_up'), 1)
  },
)

test.serial('the daemon survives a store that another program has locked', async (t) => {
  const daemon = await startDaemonFor(t)
  const other = new DatabaseSync(join(daemon.stateDirectory, 'findings.db'))
  t.teardown(() => other.close())
  other.exec('BEGIN IMMEDIATE')
  const container = await runContainer('locked')
  await docker('exec', container, 'true')
  await until(async () => (await daemon.metric('tidewatch_store_up')) === 0)
  other.exec('ROLLBACK')
  await until(() => daemon.findings({ container }).length >= 1, 30_000)
  t.is(await daemon.metric('tidewatch_store_up'), 1)
})

test.serial(
  'a second daemon with the same state directory or port exits immediately with one error line',
  async (t) => {
    const daemon = await startDaemonFor(t)
    const sameDirectory = start(process.execPath, [
      main,
      `--state.directory=${daemon.stateDirectory}`,
      '--web.listen-address=127.0.0.1:0',
    ])
    t.is(await sameDirectory.exited, 1)
    t.regex(sameDirectory.output(), /^tidewatch: another tidewatch uses the state directory .*\n$/)
    const samePort = start(process.execPath, [
      main,
      `--state.directory=${await scratch(t)}`,
      `--web.listen-address=${new URL(daemon.url).host}`,
    ])
    t.is(await samePort.exited, 1)
    t.regex(samePort.output(), /tidewatch: cannot listen on 127\.0\.0\.1:\d+: address already in use/)
  },
)

test.serial('an invalid configuration exits with 78 and lists every error with its line', async (t) => {
  const directory = await scratch(t)
  const file = join(directory, 'tidewatch.yml')
  await writeFile(file, 'web:\n  listen: x\nlog: { level: loud }\n')
  for (const args of [
    ['run', `--config.file=${file}`],
    ['check-config', file],
  ]) {
    const ended = start(process.execPath, [main, ...args])
    t.is(await ended.exited, 78)
    t.is(
      ended.output(),
      `tidewatch: ${file}:2:3 web.listen: unknown key\n${file}:3:8 log.level: Invalid option: expected one of "debug"|"info"|"warn"|"error"\n`,
    )
  }
  await writeFile(file, 'log: { level: debug }\n')
  t.is(await tidewatch('check-config', file), `${file}: the configuration is valid\n`)
})

test.serial(
  'detection continues while an Alertmanager is unreachable, and its alerts stay queued',
  async (t) => {
    const daemon = await startDaemonFor(t, {
      config: { alertmanagers: [{ url: 'http://127.0.0.1:1', min_severity: 'info' }] },
    })
    const container = await runContainer('noam')
    await docker('exec', container, 'true')
    await until(() => daemon.findings({ container }).some(({ rule }) => rule === 'exec-command'))
    t.true(
      ((await daemon.metric('tidewatch_notification_queue_length{receiver="alertmanager/127.0.0.1:1"}')) ??
        0) >= 1,
    )
  },
)

test.serial(
  'SIGTERM during execs exits with 0 within five seconds, and the next daemon reports all execs',
  async (t) => {
    const daemon = await startDaemonFor(t)
    const container = await runContainer('term')
    const loop = spawn('docker', ['exec', container, 'sh', '-c', 'true'])
    const execs = Array.from({ length: 12 }, (_, n) => docker('exec', container, 'true', String(n)))
    await Promise.all(execs.slice(0, 4))
    const stopping = performance.now()
    t.is(await daemon.stop('SIGTERM'), 0)
    t.true(performance.now() - stopping < 5_000)
    await Promise.all(execs)
    loop.kill()
    const next = await startDaemonFor(t, { stateDirectory: daemon.stateDirectory })
    const numbers = () =>
      next
        .findings({ container, detector: 'exec-into-container' })
        .map(({ evidence }) => (evidence['argv'] as string[])[1])
        .filter((argument) => argument !== '-c')
        .toSorted((a, b) => Number(a) - Number(b))
    await until(() => numbers().length >= 12)
    t.deepEqual(
      numbers(),
      execs.map((_, n) => String(n)),
    )
  },
)

test.serial('containers that vanish before they are inspected cause no errors', async (t) => {
  const daemon = await startDaemonFor(t)
  const image = await busyboxImage()
  const names = Array.from({ length: 5 }, (_, n) => `${prefix}-brief-${n}`)
  await Promise.all(names.map((name) => docker('run', '--rm', '--name', name, image, 'true')))
  await until(
    async () =>
      ((await daemon.metric('tidewatch_source_events_total{source="containers",type="removed"}')) ?? 0) >= 5,
  )
  t.is(await daemon.metric('tidewatch_source_up{source="containers"}'), 1)
  t.regex(await daemon.metrics(), /tidewatch_detector_errors_total\{detector="exec-into-container"\} 0/)
})
