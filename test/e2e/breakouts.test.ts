import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import anyTest, { type ExecutionContext, type TestFn } from 'ava'
import type { Finding } from '../../agent/model/finding.ts'
import { alertName } from '../../exporters/alertmanager/alert.ts'
import { alertOf, type Alertmanager } from '../support/alertmanager.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { corePattern, withCorePattern } from '../support/core-pattern.ts'
import type { Daemon } from '../support/daemon.ts'
import { docker as tryDocker } from '../support/docker.ts'
import { preparations } from '../support/preparations.ts'
import { docker, run } from '../support/processes.ts'
import { isFull, scaled, until } from '../support/until.ts'

// Ways out of real containers, or what they leave behind, as the store, the metrics and Alertmanager have them.

type Context = {
  daemon: Daemon
  alertmanager: Alertmanager
  image: string
  /** With the host's own C library, so that the host's runtime can run in it. */
  hostlike: string
  directory: string
  decoy: string
}
const test = anyTest as TestFn<Context>
const serial = test.serial
const prefix = `tidewatch-test-breakouts-${process.pid}`
const detector = 'runtime-path-write'
let containers = 0
const prepared = preparations(prefix)

test.before(async (t) => {
  const image = await busyboxImage()
  const directory = await prepared.directory()
  const decoy = join(directory, 'sbin/decoy-runc')
  await mkdir(dirname(decoy))
  await copyFile('/bin/sleep', decoy)
  await chmod(decoy, 0o777)
  const hostlike = `${prefix}-image`
  prepared.undoLater(() => tryDocker('image', 'rm', '--force', hostlike))
  await makeHostlikeImage(join(directory, 'image'), hostlike)
  const { daemon, alertmanager } = await prepared.watch({
    config: {
      sources: { runtime_files: { paths: [decoy] }, container_masks: { interval: '1s' } },
    },
  })
  await until(async () => (await daemon.metrics()).includes(`path="${decoy}"`))
  t.context = { daemon, alertmanager, image, hostlike, directory, decoy }
})

test.after.always(prepared.undo)

/** Busybox, a shell that is `#!/proc/self/exe`, and whatever the host's runc is linked with. */
async function makeHostlikeImage(root: string, name: string): Promise<void> {
  for (const folder of ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp'])
    await mkdir(join(root, folder), { recursive: true })
  await copyFile('/bin/busybox', join(root, 'bin/busybox'))
  for (const applet of ['sh', 'sleep', 'true']) await symlink('busybox', join(root, 'bin', applet))
  await writeFile(join(root, 'bin/entry'), '#!/proc/self/exe\n', { mode: 0o755 })
  for (const [library] of (await run('ldd', '/usr/sbin/runc')).matchAll(/\/\S+\.so\S*/g)) {
    await mkdir(join(root, dirname(library)), { recursive: true })
    await copyFile(library, join(root, library))
  }
  await run('tar', '--owner=0', '--group=0', '-C', root, '-cf', `${root}.tar`, '.')
  await docker('import', `${root}.tar`, name)
}

function newName(): string {
  return `${prefix}-${(containers += 1)}`
}

/** Runs a container of this test's own that sleeps. */
async function runContainer(t: ExecutionContext<Context>, ...options: string[]) {
  const name = newName()
  await docker('run', '-d', '--network=none', '--name', name, ...options, t.context.image, 'sleep', '600')
  const pid = (await docker('inspect', '--format', '{{.State.Pid}}', name)).trim()
  return { name, pid }
}

function findingsOf({ context: { daemon } }: ExecutionContext<Context>, container: string): Finding[] {
  return daemon.findings({ container, detector })
}

/** Waits for a finding in the store, and then demands it of the metrics and, while it is firing, of Alertmanager. */
async function seen(
  t: ExecutionContext<Context>,
  rule: string,
  container: string,
  isIt: (finding: Finding) => boolean = () => true,
  state: Finding['state'] = 'firing',
): Promise<Finding> {
  const { daemon, alertmanager } = t.context
  const finding = await until(
    () => findingsOf(t, container).find((one) => one.rule === rule && one.state === state && isIt(one)),
    60_000,
  )
  const { severity } = finding
  const total = await daemon.metric(
    `tidewatch_findings_total{detector="${detector}",rule="${rule}",severity="${severity}"}`,
  )
  t.true((total ?? 0) >= 1, `the counter of ${rule}`)
  if (state !== 'firing') return finding
  const alert = await alertOf(alertmanager, finding)
  t.is(alert.labels['alertname'], alertName(rule))
  return finding
}

// Each sort at least once in either way.
const many = isFull ? 60 : scaled(30)

serial(`${many} starts of containers of all sorts, with execs, give no finding of a breakout`, async (t) => {
  const { image, directory, daemon } = t.context
  const sorts = [
    [],
    ['-t'],
    ['--init'],
    ['--read-only', '--tmpfs', '/tmp'],
    ['--pid=host'],
    ['--user', '1000'],
    ['-v', `${directory}:/data:ro`],
    ['--security-opt', 'systempaths=unconfined'],
    ['--security-opt', 'seccomp=unconfined'],
    ['--cap-add', 'SYS_ADMIN'],
    ['--ipc=host', '--uts=host'],
    ['-w', '/proc/self'],
    ['-v', '/dev:/dev'],
    ['--tmpfs', '/run', '--shm-size', '1m'],
    ['--cap-drop', 'ALL'],
  ]
  const names: string[] = []
  for (let count = 0; count < many; count++) {
    const name = newName()
    names.push(name)
    const options = ['-d', '--network=none', '--name', name, ...(sorts[count % sorts.length] ?? [])]
    await docker('run', ...options, image, 'sleep', count % 2 === 0 ? '0' : '600')
    if (count % 2 === 0) continue
    await docker('exec', '-w', '/tmp', name, 'sh', '-c', 'cd /proc/self/fd && true')
    await until(async () => (await lookedAt(t)) > 0)
  }
  // Two looks at each, and what follows from them.
  await until(() => daemon.findings().some(({ rule }) => rule === 'runtime-vulnerable'))
  const last = await runContainer(t)
  await run('nsenter', '-t', last.pid, '-m', 'umount', '/proc/keys')
  await seen(t, 'mask-missing', last.name)
  for (const name of names) t.deepEqual(findingsOf(t, name), [], name)
  await docker('rm', '-f', last.name, ...names)
})

async function lookedAt({ context: { daemon } }: ExecutionContext<Context>): Promise<number> {
  return (await daemon.metric('tidewatch_container_masks{state="intact"}')) ?? 0
}

serial(
  'a procfs file bound over a masked path is missed at that path, and resolved when it is gone',
  async (t) => {
    const { name, pid } = await runContainer(t)
    await run('nsenter', '-t', pid, '-m', 'mount', '--bind', '/proc/sys/kernel/core_pattern', '/proc/keys')
    const finding = await seen(t, 'mask-missing', name, ({ evidence }) => evidence['path'] === '/proc/keys')
    t.is(finding.severity, 'critical')
    t.like(finding.evidence, {
      missing: 'masked-path',
      found: 'proc from /sys/kernel/core_pattern, read-only',
    })
    t.is(await t.context.daemon.metric('tidewatch_container_masks{state="missing"}'), 1)
    await run('nsenter', '-t', pid, '-m', 'umount', '/proc/keys')
    await seen(t, 'mask-missing', name, ({ id }) => id === finding.id, 'resolved')
  },
)

serial(
  'a masked path, write protection and terminals that were taken away are a condition each, until the container ends',
  async (t) => {
    const { name, pid } = await runContainer(t)
    for (const path of ['/proc/keys', '/proc/sys', '/sys/firmware', '/dev/pts']) {
      await run('nsenter', '-t', pid, '-m', 'umount', path)
      await seen(t, 'mask-missing', name, ({ evidence }) => evidence['path'] === path)
    }
    await docker('rm', '-f', name)
    await until(() => findingsOf(t, name).filter(({ state }) => state === 'resolved').length === 4)
  },
)

serial('a container that can write to a runtime file is a condition until it ends', async (t) => {
  const { decoy } = t.context
  const readOnly = await runContainer(t, '-v', `${dirname(decoy)}:/host:ro`)
  const { name } = await runContainer(t, '-v', `${dirname(decoy)}:/host`)
  const finding = await seen(t, 'runtime-path-mounted', name)
  t.deepEqual(finding.evidence['mounts'], [{ source: dirname(decoy), destination: '/host', files: [decoy] }])
  await docker('rm', '-f', name)
  await seen(t, 'runtime-path-mounted', name, ({ id }) => id === finding.id, 'resolved')
  t.deepEqual(findingsOf(t, readOnly.name), [])
})

serial(
  'an image that works in /proc/self/fd is found before it runs, and whether it can or not',
  async (t) => {
    const { image } = t.context
    const name = newName()
    await docker('create', '--network=none', '--name', name, '--workdir', '/proc/self/fd/7', image, 'true')
    const finding = await seen(t, 'working-directory-escape', name)
    t.is(finding.evidence['working_directory'], '/proc/self/fd/7')
  },
)

serial('a process in a container that works in a directory of the host is found', async (t) => {
  const { name, pid } = await runContainer(t)
  // nsenter opens --wd before it enters, as runc once left a descriptor open.
  await run('nsenter', '-t', pid, '-m', '-p', '--wd=/sys/fs/cgroup', '/bin/sleep', '1')
  const finding = await seen(t, 'working-directory-escape', name)
  t.like(finding.evidence, { working_directory: '/sys/fs/cgroup', argv: ['/bin/sleep', '1'] })
  t.is(findingsOf(t, name).length, 1)
})

serial('#!/proc/self/exe as the entry point is an attempt, also where the runtime cannot run', async (t) => {
  const { hostlike } = t.context
  const runs = newName()
  await tryDocker('run', '--network=none', '--name', runs, hostlike, '/bin/entry')
  const ran = await seen(t, 'overwrite-attempt', runs)
  await until(() => 'executed' in (findingsOf(t, runs)[0]?.evidence ?? {}))
  t.like(ran.evidence['executed'] ?? findingsOf(t, runs)[0]?.evidence['executed'], {
    argv: ['/proc/self/exe', '/bin/entry'],
  })
  t.is(findingsOf(t, runs).length, 1)

  // Without the libraries that it is linked with it fails to start: only that it was opened shows it.
  const fails = newName()
  const script = join(t.context.directory, 'entry')
  await writeFile(script, '#!/proc/self/exe\n', { mode: 0o755 })
  const mounted = ['-v', `${script}:/entry:ro`, t.context.image, '/entry']
  await tryDocker('run', '--network=none', '--name', fails, ...mounted)
  const tried = await seen(t, 'overwrite-attempt', fails)
  t.like(tried.evidence['opened'], { path: '/usr/sbin/runc', by_runtime: true, command: ['/entry'] })
  t.is(findingsOf(t, fails).length, 1)
})

serial(
  'an entry point or an exec of /proc/self/exe is an attempt by its words alone, and one finding',
  async (t) => {
    const { image } = t.context
    const name = newName()
    await tryDocker('run', '--network=none', '--name', name, image, '/proc/self/exe')
    t.like((await seen(t, 'overwrite-attempt', name)).evidence['configured'], { command: ['/proc/self/exe'] })
    const running = await runContainer(t)
    await tryDocker('exec', running.name, '/proc/self/exe')
    await seen(t, 'overwrite-attempt', running.name)
    await until(() => 'requested' in (findingsOf(t, running.name)[0]?.evidence ?? {}))
    t.is(findingsOf(t, name).length, 1)
    t.is(findingsOf(t, running.name).length, 1)
  },
)

serial('the exploit of 2019, step by step, is an attempt and then a written runtime', async (t) => {
  const { decoy } = t.context
  const { name, pid } = await runContainer(t, '--user', '1000:1000')
  // The runtime as an old one is on its way in: in the container's pids, with no more rights than its processes.
  const rights = ['setpriv', '--reuid=1000', '--regid=1000', '--clear-groups']
  const runtime = spawn('nsenter', ['-t', pid, '-p', ...rights, decoy, '600'])
  const ended = once(runtime, 'exit')
  t.teardown(() => runtime.kill())
  const find = 'grep -lx decoy-runc /proc/[0-9]*/comm 2>/dev/null'
  const inside = await until(async () => {
    const { stdout } = await tryDocker('exec', name, 'sh', '-c', find)
    return /\/proc\/(\d+)\//.exec(stdout)?.[1]
  })
  // Opens it by /proc, holds the descriptor until it has ended, and writes through /proc/self/fd.
  const exploit = `exec 9< /proc/${inside}/exe; kill ${inside}; while [ -d /proc/${inside} ]; do sleep 0.1; done; echo overwritten > /proc/self/fd/9`
  await docker('exec', name, 'sh', '-c', exploit)
  await ended
  t.is(await readFile(decoy, 'utf8'), 'overwritten\n')
  // That the runtime ran in the container may be told first, and is completed by who opened it.
  const attempt = await seen(t, 'overwrite-attempt', name, ({ evidence }) => 'opened' in evidence)
  t.like(attempt.evidence['opened'], { path: decoy, by_runtime: false, uid: 1000 })
  const written = await seen(t, 'runtime-binary-written', name)
  t.is(written.evidence['path'], decoy)
})

serial('what the kernel runs out of a container’s files is found, whichever way it gets there', async (t) => {
  const { name, pid } = await runContainer(t)
  const upper = (await docker('inspect', '--format', '{{.GraphDriver.Data.UpperDir}}', name)).trim()
  await writeFile(join(upper, 'script'), '#!/bin/sh\nexit 0\n', { mode: 0o755 })
  await copyFile('/bin/busybox', join(upper, 'program'))
  await withCorePattern(async () => {
    const ways: [string, string, object][] = [
      [`${upper}/script %P`, `${upper}/script`, { found_by: 'layer' }],
      [`${upper}/program true`, `${upper}/program`, { found_by: 'layer' }],
      [`/proc/${pid}/root/script %P`, `/proc/${pid}/root/script`, { found_by: 'process' }],
      [`/proc/${pid}/root/program true`, `/proc/${pid}/root/program`, { found_by: 'root' }],
    ]
    for (const [pattern, path, evidence] of ways) {
      // Longer ones are cut (CORENAME_MAX_SIZE of the kernel).
      t.true(pattern.length < 127, pattern)
      await writeFile(corePattern, `|${pattern}`)
      await tryDocker('exec', name, 'sh', '-c', 'kill -SEGV $$')
      const finding = await seen(
        t,
        'usermode-helper-from-container',
        name,
        (one) => one.evidence['path'] === path,
      )
      t.like(finding.evidence, evidence)
    }
    await writeFile(corePattern, '|/bin/true %P')
    await tryDocker('exec', name, 'sh', '-c', 'kill -SEGV $$')
  })
  t.is(findingsOf(t, name).length, 4)
  const all = t.context.daemon.findings({ container: name }).filter(({ severity }) => severity === 'critical')
  t.deepEqual([...new Set(all.map(({ rule }) => rule))], ['usermode-helper-from-container'])
})

serial('known vulnerabilities of the engine’s parts are told by their packages’ versions', async (t) => {
  const { daemon } = t.context
  const metrics = await daemon.metrics()
  const judged = [...metrics.matchAll(/^tidewatch_runtime_vulnerab\w+\{cve="([^"]+)"/gm)].map(
    ([, cve]) => cve,
  )
  t.true(
    judged.includes('CVE-2019-5736') &&
      judged.includes('CVE-2025-31133') &&
      judged.includes('CVE-2024-41110'),
  )
  t.is(new Set(judged).size, judged.length)
  const version = (
    await run('dpkg-query', '--showformat=${Version}', '--show', 'runc').catch(() => '')
  ).trim()
  if (version !== '1.1.5+ds1-1+deb12u1') return
  const of = (cve: string) =>
    daemon.metric(`tidewatch_runtime_vulnerable{cve="${cve}",component="runc",version="${version}"}`)
  t.is(await of('CVE-2024-21626'), 0)
  t.is(await of('CVE-2025-31133'), 1)
  const firing = daemon
    .findings({ detector })
    .filter(({ rule, state }) => rule === 'runtime-vulnerable' && state === 'firing')
  t.true(
    firing.some(
      ({ evidence }) => evidence['cve'] === 'CVE-2025-31133' && evidence['package_version'] === version,
    ),
  )
  t.false(firing.some(({ evidence }) => evidence['cve'] === 'CVE-2024-21626'))
})
