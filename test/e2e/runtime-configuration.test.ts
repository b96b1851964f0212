import { createHash } from 'node:crypto'
import { appendFile, mkdir, rm, rmdir, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import anyTest, { type TestFn } from 'ava'
import { alertName } from '../../exporters/alertmanager/alert.ts'
import { alertOf } from '../support/alertmanager.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { startDaemon } from '../support/daemon.ts'
import { preparations, type Watched } from '../support/preparations.ts'
import { docker, run } from '../support/processes.ts'
import { until } from '../support/until.ts'

// A file that adds to the engine's unit, made by a container and changed on the host. It holds a comment only, so that
// no systemd does anything with it.

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

test.after.always(prepared.undo)

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
    const alert = await alertOf(alertmanager, finding)
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

test.serial(
  'what is changed, made or removed while no daemon runs is told by the next one, once',
  async (t) => {
    const [changed, made, gone] = (['changed', 'made', 'gone'] as const).map((what) =>
      join(directory, `tidewatch-test-${process.pid}-${what}.conf`),
    ) as [string, string, string]
    prepared.undoLater(() => run('rm', '-f', changed, made, gone))
    let { daemon } = t.context
    const told = () =>
      daemon
        .findings({ detector: 'runtime-path-write' })
        .filter(({ evidence }) => [changed, made, gone].some((one) => one === evidence['path']))
    const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
    const was = sha256('# as it was\n')
    for (const file of [changed, gone]) await writeFile(file, '# as it was\n')
    // A file may be seen before anything is written to it.
    const isKnown = (file: string) =>
      told().some(({ evidence }) => evidence['path'] === file && evidence['sha256_after'] === was)
    await until(() => isKnown(changed) && isKnown(gone))
    await daemon.stop()
    const known = told().map(({ id }) => id)
    await appendFile(changed, '# and secretly\n')
    await writeFile(made, '# secret\n')
    await rm(gone)
    const restart = async () => {
      daemon = await startDaemon({ stateDirectory: daemon.stateDirectory })
      prepared.undoLater(daemon.stop)
    }
    await restart()
    const away = () => told().filter(({ id }) => !known.includes(id))
    await until(() => away().length >= 3)
    t.deepEqual(
      [changed, gone, made].map((file) => {
        const finding = away().find(({ evidence }) => evidence['path'] === file)
        return { rule: finding?.rule, ...finding?.evidence }
      }),
      [
        {
          path: changed,
          change: 'written',
          sha256_before: was,
          sha256_after: sha256('# as it was\n# and secretly\n'),
        },
        { path: gone, change: 'removed', sha256_before: was, mode_before: '0644', owner_before: '0:0' },
        {
          path: made,
          change: 'replaced',
          sha256_after: sha256('# secret\n'),
          mode_after: '0644',
          owner_after: '0:0',
        },
      ].map((evidence) => ({ rule: 'breakout-file-changed', unwatched: true, ...evidence })),
    )
    await daemon.stop()
    await restart()
    t.is(away().length, 3)
  },
)
