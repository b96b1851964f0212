import { chmod, copyFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import anyTest, { type ExecutionContext, type TestFn } from 'ava'
import type { Finding } from '../../agent/model/finding.ts'
import { sourceNames } from '../../agent/model/observation.ts'
import { alertName } from '../../exporters/alertmanager/alert.ts'
import { alertOf, type Alertmanager, amtoolAlerts } from '../support/alertmanager.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { type Daemon, tidewatch, logIfFailed } from '../support/daemon.ts'
import { preparations } from '../support/preparations.ts'
import { docker, run } from '../support/processes.ts'
import { until } from '../support/until.ts'
import { type Prometheus, startPrometheus } from '../support/prometheus.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// Real operations in real containers. Each finding must reach the store, the metrics, Alertmanager and Prometheus.

type Context = {
  daemon: Daemon
  alertmanager: Alertmanager
  prometheus: Prometheus
  directory: string
  decoy: string
  image: string
}
const test = anyTest as TestFn<Context>
const prefix = `tidewatch-test-detections-${process.pid}`
let containers = 0

const prepared = preparations(prefix)

test.before(async (t) => {
  const image = await busyboxImage()
  const directory = await prepared.directory()
  const decoy = join(directory, 'decoy-runc')
  await writeFile(decoy, '#!/bin/sh\nexit 0\n')
  await chmod(decoy, 0o755)
  await copyFile('/bin/busybox', join(directory, 'setuid-busybox'))
  await chmod(join(directory, 'setuid-busybox'), 0o4755)
  const { daemon, alertmanager } = await prepared.watch({
    minSeverity: 'info',
    config: {
      sources: { resources: { interval: '1s' }, runtime_files: { paths: [decoy] } },
      detectors: { 'resource-limit-breach': { memory: { hold: '2s', resolve_hold: '1s' } } },
    },
  })
  const prometheus = await startPrometheus(daemon.url)
  prepared.undoLater(prometheus.remove)
  t.context = { daemon, alertmanager, prometheus, directory, decoy, image }
})

test.afterEach.always((t) => logIfFailed(t, t.context.daemon))

test.after.always(prepared.undo)

/** Starts a container; resolves to its name. */
async function runContainer(t: ExecutionContext<Context>, ...args: string[]): Promise<string> {
  const name = `${prefix}-${(containers += 1)}`
  const split = args.indexOf('--')
  const [options, command] =
    split === -1 ? [args, ['sleep', '600']] : [args.slice(0, split), args.slice(split + 1)]
  await docker('run', '-d', '--name', name, ...options, t.context.image, ...command)
  return name
}

type Expected = { rule: string; container: string; state?: Finding['state'] }

/** Waits for a finding in the store, then checks that the metrics and Alertmanager have it too. */
async function expectFinding(
  t: ExecutionContext<Context>,
  { rule, container, state = 'firing' }: Expected,
): Promise<Finding> {
  const { daemon, alertmanager } = t.context
  const finding = await until(() =>
    daemon.findings({ container }).find((found) => found.rule === rule && found.state === state),
  ).catch((error: unknown) => {
    t.log(
      daemon
        .findings({ container })
        .map((found) => `${found.rule} ${found.state}: ${found.summary} ${JSON.stringify(found.evidence)}`),
    )
    t.log(daemon.output().slice(-2000))
    throw error
  })
  const printed = await tidewatch(
    ...['findings', '--state.directory', daemon.stateDirectory, '--container', container, '--format', 'json'],
  )
  t.true(printed.includes(`{"id":"${finding.id}"`), 'tidewatch findings')
  const { detector, severity } = finding
  const labels = `container="${container}",image="${finding.container?.image ?? ''}",detector="${detector}",rule="${rule}",severity="${severity}"`
  t.true(
    ((await daemon.metric(`tidewatch_container_findings_total{${labels}}`)) ?? 0) >= 1,
    'the container counter',
  )
  t.true(
    ((await daemon.metric(
      `tidewatch_findings_total{detector="${detector}",rule="${rule}",severity="${severity}"}`,
    )) ?? 0) >= 1,
    'the counter',
  )
  if (state === 'firing') {
    const alert = await alertOf(alertmanager, finding)
    t.is(alert.labels['alertname'], alertName(rule))
    t.is(alert.status.state, 'active')
    t.regex(
      await amtoolAlerts(alertmanager.url, `fingerprint=${finding.fingerprint}`),
      new RegExp(alertName(rule)),
    )
  }
  return finding
}

function rulesOf(t: ExecutionContext<Context>, container: string, detector: string): string[] {
  const found = t.context.daemon.findings({ container, detector })
  return found.map(({ rule }) => rule)
}

test('a shell with a terminal is one interactive-shell finding', async (t) => {
  const container = await runContainer(t)
  await run('script', '-qec', `docker exec -it ${container} sh -c 'echo hello'`, '/dev/null')
  const finding = await expectFinding(t, { rule: 'interactive-shell', container })
  t.like(finding.evidence, { argv: ['sh', '-c', 'echo hello'], tty: true, open_stdin: true, user: 'root' })
  t.deepEqual(rulesOf(t, container, 'exec-into-container'), ['interactive-shell'])
})

test('an exec as root in a container that is configured for another user is one finding', async (t) => {
  const container = await runContainer(t, '--user', '1000')
  await docker('exec', '-u', '0', container, 'sleep', '3')
  const finding = await expectFinding(t, { rule: 'exec-as-root', container })
  t.like(finding.evidence, { user: '0', configured_user: '1000', also: ['exec-command'] })
  const all = t.context.daemon.findings({ container }).filter(({ kind }) => kind === 'event')
  t.deepEqual(
    all.map(({ rule }) => rule),
    ['exec-as-root'],
  )
})

test('a setuid file from a volume that gives root in a container of user 1000 is a privilege escalation', async (t) => {
  const { directory } = t.context
  const container = await runContainer(t, '--user', '1000', '-v', `${directory}:/opt/tools:ro`)
  await docker('exec', '-d', container, '/opt/tools/setuid-busybox', 'sleep', '60')
  const finding = await expectFinding(t, { rule: 'privilege-escalation', container })
  t.is(finding.severity, 'critical')
  t.like(finding.evidence, { uid: 1_000, euid: 0, configured_user: '1000', file_origin: 'volume' })
  t.deepEqual(finding.evidence['also'], ['root-in-nonroot-container'])
  t.deepEqual(rulesOf(t, container, 'unexpected-root-process'), ['privilege-escalation'])
})

test('a setuid program from a volume is detected even if it and its container exit immediately', async (t) => {
  const { directory } = t.context
  const options = ['--user', '1000', '-v', `${directory}:/opt/tools:ro`]
  const container = await runContainer(t, ...options, '--', '/opt/tools/setuid-busybox', 'true')
  const finding = await expectFinding(t, { rule: 'privilege-escalation', container })
  t.like(finding.evidence, { file_origin: 'volume', file_mode: '4755', file_owner: 0 })
  t.deepEqual(rulesOf(t, container, 'unexpected-root-process'), ['privilege-escalation'])
})

test('a write to a runtime binary through a mount of a container is detected', async (t) => {
  const { decoy } = t.context
  const container = await runContainer(t, '-v', `${decoy}:/mnt/runc`)
  await docker('exec', container, 'sh', '-c', 'echo overwritten > /mnt/runc; sleep 1')
  const finding = await until(() =>
    t.context.daemon
      .findings({ detector: 'runtime-path-write' })
      .find(({ rule, evidence }) => rule === 'runtime-binary-written' && evidence['path'] === decoy),
  )
  await expectFinding(t, { rule: 'runtime-binary-written', container: finding.container?.name ?? '' })
  t.is(finding.severity, 'critical')
  t.is(finding.container?.name, container)
  t.not(finding.evidence['sha256_before'], finding.evidence['sha256_after'])
})

const waitForFlag = 'while [ ! -e /flags/release ]; do sleep 0.2; done'

test('a container near its memory limit is a condition that fires and resolves', async (t) => {
  // A file signals the container to free its memory: an exec that does it would itself be OOM-killed.
  const flags = await temporaryDirectory()
  t.teardown(() => rm(flags, { recursive: true, force: true }))
  const container = await runContainer(
    t,
    ...['--memory', '32m', '--tmpfs', '/fill:size=64m', '-v', `${flags}:/flags:ro`, '--'],
    ...[
      'sh',
      '-c',
      `dd if=/dev/zero of=/fill/x bs=1M count=29 2>/dev/null; ${waitForFlag}; rm /fill/x; sleep 600`,
    ],
  )
  const firing = await expectFinding(t, { rule: 'memory-near-limit', container })
  t.is(firing.kind, 'condition')
  const labels = `container="${container}",image="${firing.container?.image}",detector="resource-limit-breach",rule="memory-near-limit",severity="warning"`
  t.is(await t.context.daemon.metric(`tidewatch_findings_active{${labels}}`), 1)
  await writeFile(join(flags, 'release'), '')
  const resolved = await expectFinding(t, { rule: 'memory-near-limit', container, state: 'resolved' })
  t.is(resolved.id, firing.id)
  t.is(await t.context.daemon.metric(`tidewatch_findings_active{${labels}}`), undefined)
  await until(async () =>
    (await t.context.alertmanager.alerts()).every(
      ({ annotations }) => annotations['finding_id'] !== firing.id,
    ),
  )
})

test('a container whose main process is OOM-killed is one critical finding', async (t) => {
  const container = await runContainer(
    t,
    '--memory',
    '16m',
    '--memory-swap',
    '16m',
    '--',
    'tail',
    '/dev/zero',
  )
  const finding = await expectFinding(t, { rule: 'container-oom-killed', container })
  t.is(finding.severity, 'critical')
  t.false(rulesOf(t, container, 'resource-limit-breach').includes('oom-kill'))
})

test('a container that hits its process limit is detected', async (t) => {
  const container = await runContainer(t, '--pids-limit', '20')
  await t.throwsAsync(docker('exec', container, 'sh', '-c', 'while :; do sleep 600 & done'))
  const finding = await expectFinding(t, { rule: 'pids-limit-hit', container })
  t.is(finding.evidence['limit'], 20)
  t.true(Number(finding.evidence['refused_forks']) >= 1)
  await until(async () => {
    const labels = `container="${container}",image="${finding.container?.image}"`
    return ((await t.context.daemon.metric(`tidewatch_container_forks_refused_total{${labels}}`)) ?? 0) >= 1
  })
})

test('a container that exits and is restarted repeatedly is in a restart loop until it is removed', async (t) => {
  const container = await runContainer(t, '--restart', 'always', '--', 'sh', '-c', 'exit 3')
  const firing = await expectFinding(t, { rule: 'restart-loop', container })
  t.deepEqual(firing.evidence['exit_codes'], [3, 3, 3])
  await docker('rm', '-f', container)
  const resolved = await expectFinding(t, { rule: 'restart-loop', container, state: 'resolved' })
  t.is(resolved.id, firing.id)
})

test('frequent health checks are counted and not reported', async (t) => {
  const counted = async () =>
    (await t.context.daemon.metric('tidewatch_execs_total{kind="healthcheck"}')) ?? 0
  const before = await counted()
  const container = await runContainer(t, '--health-cmd', 'true', '--health-interval', '1s')
  await until(async () => (await counted()) >= before + 3)
  const reported = t.context.daemon.findings({ container, detector: 'exec-into-container' })
  t.deepEqual(
    reported.map(({ summary, evidence }) => ({ summary, evidence })),
    [],
  )
})

test('hostile arguments of 100 KB with newlines and escape sequences are one finding and break no log line', async (t) => {
  const container = await runContainer(t)
  const hostile = `\n\x1b[2J"}\n{"evil":1}${'A'.repeat(100_000)}`
  await docker('exec', container, 'true', hostile)
  const finding = await expectFinding(t, { rule: 'exec-command', container })
  t.notRegex(finding.summary, /\p{Cc}/u)
  t.true(JSON.stringify(finding).length < 10_000)
  for (const line of t.context.daemon.output().trim().split('\n'))
    t.notThrows(() => JSON.parse(line), line.slice(0, 200))
})

test('Prometheus scrapes the daemon and answers a query for a finding', async (t) => {
  const { prometheus } = t.context
  const container = await runContainer(t)
  await docker('exec', container, 'true')
  await expectFinding(t, { rule: 'exec-command', container })
  const [series] = await until(async () => {
    const found = await prometheus.query(
      `tidewatch_container_findings_total{container="${container}",rule="exec-command"}`,
    )
    return found.length > 0 && found
  })
  t.is(series?.value, 1)
  t.is(series?.metric['job'], 'tidewatch')
  const up = await prometheus.query('tidewatch_source_up')
  t.deepEqual(
    up.map(({ value }) => value),
    sourceNames.map(() => 1),
  )
})
