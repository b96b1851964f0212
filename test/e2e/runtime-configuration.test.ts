import { appendFile, mkdir, rm, rmdir } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import anyTest, { type TestFn } from 'ava'
import { alertName } from '../../exporters/alertmanager/alert.ts'
import { type Alertmanager, startAlertmanager } from '../support/alertmanager.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { type Daemon, removeState, startDaemon } from '../support/daemon.ts'
import { docker, run } from '../support/processes.ts'
import { until } from '../support/until.ts'

// A file that adds to the engine's unit, made by a container and changed on the host. It holds a comment only, so that
// no systemd does anything with it.

type Context = { daemon: Daemon; alertmanager: Alertmanager }
const test = anyTest as TestFn<Context>
const container = `tidewatch-test-configuration-${process.pid}`
const directory = '/etc/systemd/system/docker.service.d'
const name = `tidewatch-test-${process.pid}.conf`
const path = join(directory, name)
const undo: (() => Promise<unknown>)[] = []

test.before(async (t) => {
  if (!existsSync(directory)) {
    await mkdir(directory, { recursive: true })
    undo.push(() => rmdir(directory))
  }
  undo.push(() => rm(path, { force: true }))
  const alertmanager = await startAlertmanager()
  undo.push(alertmanager.remove)
  const daemon = await startDaemon({ config: { alertmanagers: [{ url: alertmanager.url }] } })
  undo.push(async () => {
    await daemon.stop()
    await removeState(daemon)
  })
  t.context = { daemon, alertmanager }
})

test.after.always(async () => {
  await docker('rm', '-f', container).catch(() => undefined)
  for (const step of undo.toReversed()) await step()
})

test.serial(
  'a unit’s file made by a container through its mount is found, with the container and the lines',
  async (t) => {
    const { daemon, alertmanager } = t.context
    const script = `echo '# made by a test' > /mnt/${name}; sleep 1; true`
    await docker(
      'run',
      '--name',
      container,
      '-v',
      `${directory}:/mnt`,
      await busyboxImage(),
      'sh',
      '-c',
      script,
    )
    const finding = await until(() =>
      daemon.findings({ container }).find(({ rule }) => rule === 'breakout-file-changed-by-container'),
    )
    t.is(finding.severity, 'critical')
    t.is(finding.container?.name, container)
    t.like(finding.evidence, { path, lines_added: ['# made by a test'] })
    t.like(finding.evidence['writer'], { user: 'root', argv: ['sh', '-c', script] })
    const labels = `container="${container}",image="${finding.container?.image}",detector="runtime-path-write",rule="breakout-file-changed-by-container",severity="critical"`
    t.is(await daemon.metric(`tidewatch_container_findings_total{${labels}}`), 1)
    const alert = await until(async () =>
      (await alertmanager.alerts()).find(({ annotations }) => annotations['finding_id'] === finding.id),
    )
    t.is(alert.labels['alertname'], alertName(finding.rule))
  },
)

test.serial('the same file changed on the host is a warning, and so is its end', async (t) => {
  const { daemon } = t.context
  const told = (change: string) =>
    until(() =>
      daemon
        .findings({ detector: 'runtime-path-write' })
        .find(
          ({ rule, evidence }) =>
            rule === 'breakout-file-changed' && evidence['path'] === path && evidence['change'] === change,
        ),
    )
  await appendFile(path, '# and by hand\n')
  const written = await told('written')
  t.is(written.severity, 'warning')
  t.is(written.container, null)
  t.like(written.evidence, { lines_added: ['# and by hand'] })
  t.like(written.evidence['writer'], { pid: process.pid })
  await run('rm', path)
  const removed = await told('removed')
  t.like(removed.evidence['writer'], { argv: ['rm', path] })
})
