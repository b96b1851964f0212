import { createHash } from 'node:crypto'
import { appendFile, mkdir, rm, rmdir, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import anyTest, { type TestFn } from 'ava'
import { alertName } from '../../exporters/alertmanager/alert.ts'
import { alertOf } from '../support/alertmanager.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { startDaemon, logIfFailed } from '../support/daemon.ts'
import { preparations, type Watched } from '../support/preparations.ts'
import { docker, run } from '../support/processes.ts'
import { until } from '../support/until.ts'

// A drop-in of the engine's unit, created by a container and changed on the host. It only contains comments, so that it
// has no effect on systemd.

const test = anyTest as TestFn<Watched>
const container = `tidewatch-test-configuration-${process.pid}`
const directory = '/etc/systemd/system/docker.service.d'
const name = `tidewatch-test-${process.pid}.conf`
const path = join(directory, name)
const prepared = preparations(container)

test.before(async (t) => {
  if (!existsSync(directory)) {
    await mkdir(directory, { recursive: true })
    prepared.undoLater(() => rmdir(directory))
  }
  prepared.undoLater(() => rm(path, { force: true }))
  t.context = await prepared.watch()
})

test.afterEach.always((t) => logIfFailed(t, t.context.daemon))

test.after.always(prepared.undo)

test.serial(
  'a unit drop-in created by a container through a mount is reported with the container and the lines',
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
    const alert = await alertOf(alertmanager, finding)
    t.is(alert.labels['alertname'], alertName(finding.rule))
  },
)

test.serial('changing and removing the same file on the host are warnings', async (t) => {
  const { daemon } = t.context
  const findingOf = (change: string) =>
    until(() =>
      daemon
        .findings({ detector: 'runtime-path-write' })
        .find(
          ({ rule, evidence }) =>
            rule === 'breakout-file-changed' && evidence['path'] === path && evidence['change'] === change,
        ),
    )
  await appendFile(path, '# and by hand\n')
  const written = await findingOf('written')
  t.is(written.severity, 'warning')
  t.is(written.container, null)
  t.like(written.evidence, { lines_added: ['# and by hand'] })
  t.like(written.evidence['writer'], { pid: process.pid })
  await run('rm', path)
  const removed = await findingOf('removed')
  t.like(removed.evidence['writer'], { argv: ['rm', path] })
})

test.serial(
  'files changed, created or removed while no daemon runs are reported once by the next one',
  async (t) => {
    const [changed, created, deleted] = (['changed', 'created', 'deleted'] as const).map((what) =>
      join(directory, `tidewatch-test-${process.pid}-${what}.conf`),
    ) as [string, string, string]
    prepared.undoLater(() => run('rm', '-f', changed, created, deleted))
    let { daemon } = t.context
    const reported = () =>
      daemon
        .findings({ detector: 'runtime-path-write' })
        .filter(({ evidence }) => [changed, created, deleted].some((one) => one === evidence['path']))
    const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
    const was = sha256('# as it was\n')
    for (const file of [changed, deleted]) await writeFile(file, '# as it was\n')
    // A new file may be reported before its content is written.
    const isKnown = (file: string) =>
      reported().some(({ evidence }) => evidence['path'] === file && evidence['sha256_after'] === was)
    await until(() => isKnown(changed) && isKnown(deleted))
    await daemon.stop()
    const known = reported().map(({ id }) => id)
    await appendFile(changed, '# and secretly\n')
    await writeFile(created, '# secret\n')
    await rm(deleted)
    const restart = async () => {
      daemon = await startDaemon({ stateDirectory: daemon.stateDirectory })
      prepared.undoLater(daemon.stop)
    }
    await restart()
    const whileStopped = () => reported().filter(({ id }) => !known.includes(id))
    await until(() => whileStopped().length >= 3)
    t.deepEqual(
      [changed, deleted, created].map((file) => {
        const finding = whileStopped().find(({ evidence }) => evidence['path'] === file)
        return { rule: finding?.rule, ...finding?.evidence }
      }),
      [
        {
          path: changed,
          change: 'written',
          sha256_before: was,
          sha256_after: sha256('# as it was\n# and secretly\n'),
        },
        { path: deleted, change: 'removed', sha256_before: was, mode_before: '0644', owner_before: '0:0' },
        {
          path: created,
          change: 'replaced',
          sha256_after: sha256('# secret\n'),
          mode_after: '0644',
          owner_after: '0:0',
        },
      ].map((evidence) => ({ rule: 'breakout-file-changed', unwatched: true, ...evidence })),
    )
    await daemon.stop()
    await restart()
    t.is(whileStopped().length, 3)
  },
)
