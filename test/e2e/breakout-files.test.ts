import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import anyTest, { type TestFn } from 'ava'
import type { Finding } from '../../agent/model/finding.ts'
import { alertOf, type Alertmanager } from '../support/alertmanager.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { corePattern, withCorePattern } from '../support/core-pattern.ts'
import { type Daemon, logIfFailed } from '../support/daemon.ts'
import { preparations } from '../support/preparations.ts'
import { docker, run } from '../support/processes.ts'
import { patience, scaled, until } from '../support/until.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// Real writes to files that make the kernel run programs as root. Each finding must reach the store, the metrics and
// Alertmanager.

type Context = { daemon: Daemon; alertmanager: Alertmanager; image: string }
const test = anyTest as TestFn<Context>
// One test at a time: there is only one core_pattern.
const serial = test.serial
const prefix = `tidewatch-test-breakout-${process.pid}`
const prepared = preparations(prefix)

test.before(async (t) => {
  const image = await busyboxImage()
  t.context = { image, ...(await prepared.watch()) }
})

test.afterEach.always((t) => logIfFailed(t, t.context.daemon))

test.after.always(prepared.undo)

/** Findings about a value set by a test, oldest first. */
function findingsOf({ daemon }: Context, mark: string): Finding[] {
  return daemon
    .findings({ detector: 'runtime-path-write' })
    .filter(
      ({ rule, evidence }) => rule.startsWith('breakout-file') && JSON.stringify(evidence).includes(mark),
    )
    .toSorted((a, b) => a.time.localeCompare(b.time))
}

async function countOf({ daemon }: Context, rule: string, severity: string): Promise<number> {
  const labels = `detector="runtime-path-write",rule="${rule}",severity="${severity}"`
  return (await daemon.metric(`tidewatch_findings_total{${labels}}`)) ?? NaN
}

serial(
  'a container that sets the host’s core_pattern is a critical finding with the old and the new value',
  async (t) => {
    const mark = `${prefix}-container`
    const rule = 'breakout-file-changed-by-container'
    const before = await countOf(t.context, rule, 'critical')
    await docker(
      'run',
      '-d',
      '--name',
      mark,
      '-v',
      `${corePattern}:/pattern`,
      t.context.image,
      'sleep',
      '600',
    )
    const old = await withCorePattern(async (found) => {
      await docker('exec', mark, 'sh', '-c', `echo '|/${mark} %p' > /pattern`)
      await until(() => findingsOf(t.context, mark).some((finding) => finding.rule === rule))
      return found
    })
    const [finding] = findingsOf(t.context, mark).filter((found) => found.rule === rule)
    if (finding === undefined) {
      t.fail()
      return
    }
    t.like(finding, { severity: 'critical', kind: 'event' })
    t.like(finding.container, { name: mark })
    t.like(finding.evidence, {
      file: 'core_pattern',
      path: corePattern,
      old,
      new: `|/${mark} %p`,
      seen_by: 'bpf',
    })
    const writer = finding.evidence['writer'] as { argv: string[]; user: string; ancestors: unknown[] }
    t.deepEqual(writer.argv.slice(0, 2), ['sh', '-c'])
    t.is(writer.user, 'root')
    t.true(writer.ancestors.length > 0)
    t.regex(
      finding.summary,
      new RegExp(`^.* in ${mark} changed kernel\\.core_pattern from \`${old}\` to \`.*\`$`),
    )

    t.true((await countOf(t.context, rule, 'critical')) > before)
    const labels = `container="${mark}",image="${finding.container?.image}",detector="runtime-path-write",rule="${rule}",severity="critical"`
    t.is(await t.context.daemon.metric(`tidewatch_container_findings_total{${labels}}`), 1)
    const alert = await alertOf(t.context.alertmanager, finding)
    t.like(alert.labels, { alertname: 'TidewatchBreakoutFileChangedByContainer', container: mark })
    t.is(alert.annotations['evidence_new'], `|/${mark} %p`)
    t.is(
      await t.context.daemon.metric('tidewatch_source_mode{source="breakout-files",mode="bpf+fanotify"}'),
      1,
    )
  },
)

serial('each write to core_pattern on the host is one warning', async (t) => {
  const mark = `${prefix}-host`
  await withCorePattern(async (before) => {
    await run('sh', '-c', `echo '|/${mark}' > ${corePattern}; echo '${before}' > ${corePattern}`)
    await until(() => findingsOf(t.context, mark).length >= 2)
  })
  const findings = findingsOf(t.context, mark)
  t.deepEqual(
    findings.map(({ rule, severity, container }) => [rule, severity, container]),
    Array.from({ length: 2 }, () => ['breakout-file-changed', 'warning', null]),
  )
  for (const finding of findings) await alertOf(t.context.alertmanager, finding)
})

serial('a package that sets core_pattern during its installation is no finding', async (t) => {
  const mark = `${prefix}-package`
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  await withCorePattern(async (before) => {
    await installPackage(directory, [
      `echo '|/${mark}' > ${corePattern}`,
      `sh -c "echo '${before}' > ${corePattern}"`,
    ])
    // Once the host's later write is reported, the daemon has seen all earlier writes.
    const after = mark.replace('package', 'after')
    await run('sh', '-c', `echo '${after}' > ${corePattern}`)
    await until(() => findingsOf(t.context, after).length > 0)
  })
  t.deepEqual(findingsOf(t.context, mark), [])
})

serial('starting and stopping containers is no finding', async (t) => {
  // The lock keeps other tests from setting core_pattern.
  const found = await withCorePattern(async () => {
    const from = Date.now()
    const count = scaled(30)
    for (let times = 1; times <= count; times += 1) {
      const options = times % 3 === 0 ? ['--memory=64m', '--cpus=1', '--pids-limit=50'] : []
      const name = `${prefix}-normal-${times}`
      await docker('run', '--rm', '--name', name, '--init', ...options, t.context.image, 'cat', corePattern)
    }
    await sleep(1_500 * patience)
    return t.context.daemon
      .findings({ detector: 'runtime-path-write' })
      .filter(({ rule, time }) => rule.startsWith('breakout-file') && Date.parse(time) >= from)
  })
  const isOfOtherTest = (finding: Finding) => /tidewatch-test-(?!breakout)/.test(JSON.stringify(finding))
  t.deepEqual(
    found.filter((finding) => !isOfOtherTest(finding)),
    [],
  )
  const metrics = await t.context.daemon.metrics()
  t.false(metrics.includes('tidewatch_source_events_lost_total{source="breakout-files"'))
})

/** Installs a package that only runs a script, with dpkg and a separate dpkg database. */
async function installPackage(directory: string, script: readonly string[]): Promise<void> {
  const root = join(directory, 'package')
  await mkdir(join(root, 'DEBIAN'), { recursive: true })
  const control = [
    ['Package', 'tidewatch-test'],
    ['Version', '1'],
    ['Architecture', 'all'],
    ['Maintainer', 'nobody <nobody@example.org>'],
    ['Description', 'a test'],
  ]
  await writeFile(join(root, 'DEBIAN/control'), control.map(([key, value]) => `${key}: ${value}\n`).join(''))
  await writeFile(join(root, 'DEBIAN/postinst'), `#!/bin/sh\nset -e\n${script.join('\n')}\n`, { mode: 0o755 })
  await run('dpkg-deb', '--build', '--root-owner-group', root, join(directory, 'test.deb'))
  const database = join(directory, 'dpkg')
  for (const part of ['info', 'updates', 'triggers']) await mkdir(join(database, part), { recursive: true })
  for (const file of ['status', 'available']) await writeFile(join(database, file), '')
  await run('dpkg', `--admindir=${database}`, '--force-all', '-i', join(directory, 'test.deb'))
}
