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
import { type Daemon, logIfFailed } from '../support/daemon.ts'
import { docker as tryDocker } from '../support/docker.ts'
import { preparations } from '../support/preparations.ts'
import { docker, run } from '../support/processes.ts'
import { isFull, scaled, until } from '../support/until.ts'

// Ways to break out of real containers, or the traces they leave. Each finding must reach the store, the metrics and
// Alertmanager.

type Context = {
  daemon: Daemon
  alertmanager: Alertmanager
  image: string
  /** An image with the host's C library, so that the host's runtime can run in it. */
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

test.afterEach.always((t) => logIfFailed(t, t.context.daemon))

test.after.always(prepared.undo)

/** Busybox, a script with the interpreter `/proc/self/exe`, and the libraries of the host's runc. */
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

/** Starts a sleeping container. */
async function runContainer(t: ExecutionContext<Context>, ...options: string[]) {
  const name = newName()
  t.teardown(() => tryDocker('rm', '--force', name))
  await docker('run', '-d', '--network=none', '--name', name, ...options, t.context.image, 'sleep', '600')
  const pid = (await docker('inspect', '--format', '{{.State.Pid}}', name)).trim()
  return { name, pid }
}

function findingsOf({ context: { daemon } }: ExecutionContext<Context>, container: string): Finding[] {
  return daemon.findings({ container, detector })
}

/** Waits for a finding in the store, then checks that the metrics and, if it is firing, Alertmanager have it too. */
async function expectFinding(
  t: ExecutionContext<Context>,
  rule: string,
  container: string,
  matches: (finding: Finding) => boolean = () => true,
  state: Finding['state'] = 'firing',
): Promise<Finding> {
  const { daemon, alertmanager } = t.context
  const finding = await until(
    () => findingsOf(t, container).find((one) => one.rule === rule && one.state === state && matches(one)),
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

// Each kind at least once, every other one with an exec; in a full run each kind both ways.
const many = isFull ? 60 : scaled(16)

serial(`${many} starts of containers of all kinds, with execs, cause no breakout finding`, async (t) => {
  const { image, directory, daemon } = t.context
  const kinds = [
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
    t.teardown(() => tryDocker('rm', '--force', name))
    const options = ['-d', '--network=none', '--name', name, ...(kinds[count % kinds.length] ?? [])]
    await docker('run', ...options, image, 'sleep', count % 2 === 0 ? '0' : '600')
    if (count % 2 === 0) continue
    await docker('exec', '-w', '/tmp', name, 'sh', '-c', 'cd /proc/self/fd && true')
    await until(async () => (await intactContainers(t)) > 0)
  }
  // Waits until every container has been checked.
  await until(() => daemon.findings().some(({ rule }) => rule === 'runtime-vulnerable'))
  const last = await runContainer(t)
  await run('nsenter', '-t', last.pid, '-m', 'umount', '/proc/keys')
  await expectFinding(t, 'mask-missing', last.name)
  for (const name of names) t.deepEqual(findingsOf(t, name), [], name)
})

async function intactContainers({ context: { daemon } }: ExecutionContext<Context>): Promise<number> {
  return (await daemon.metric('tidewatch_container_masks{state="intact"}')) ?? 0
}

serial(
  'a procfs file mounted over a masked path is a missing mask, and resolves when it is unmounted',
  async (t) => {
    const { name, pid } = await runContainer(t)
    await run('nsenter', '-t', pid, '-m', 'mount', '--bind', '/proc/sys/kernel/core_pattern', '/proc/keys')
    const finding = await expectFinding(
      t,
      'mask-missing',
      name,
      ({ evidence }) => evidence['path'] === '/proc/keys',
    )
    t.is(finding.severity, 'critical')
    t.like(finding.evidence, {
      missing: 'masked-path',
      found: 'proc from /sys/kernel/core_pattern, read-only',
    })
    t.is(await t.context.daemon.metric('tidewatch_container_masks{state="missing"}'), 1)
    await run('nsenter', '-t', pid, '-m', 'umount', '/proc/keys')
    await expectFinding(t, 'mask-missing', name, ({ id }) => id === finding.id, 'resolved')
  },
)

serial(
  'each removed mask, read-only mount or terminal mount is a condition until the container exits',
  async (t) => {
    const { name, pid } = await runContainer(t)
    for (const path of ['/proc/keys', '/proc/sys', '/sys/firmware', '/dev/pts']) {
      await run('nsenter', '-t', pid, '-m', 'umount', path)
      await expectFinding(t, 'mask-missing', name, ({ evidence }) => evidence['path'] === path)
    }
    await docker('rm', '-f', name)
    await until(() => findingsOf(t, name).filter(({ state }) => state === 'resolved').length === 4)
  },
)

serial('a container that can write to a runtime file is a condition until it exits', async (t) => {
  const { decoy } = t.context
  const readOnly = await runContainer(t, '-v', `${dirname(decoy)}:/host:ro`)
  const { name } = await runContainer(t, '-v', `${dirname(decoy)}:/host`)
  const finding = await expectFinding(t, 'runtime-path-mounted', name)
  t.deepEqual(finding.evidence['mounts'], [{ source: dirname(decoy), destination: '/host', files: [decoy] }])
  await docker('rm', '-f', name)
  await expectFinding(t, 'runtime-path-mounted', name, ({ id }) => id === finding.id, 'resolved')
  t.deepEqual(findingsOf(t, readOnly.name), [])
})

serial(
  'a container with a working directory below /proc/self/fd is detected when it is created',
  async (t) => {
    const { image } = t.context
    const name = newName()
    await docker('create', '--network=none', '--name', name, '--workdir', '/proc/self/fd/7', image, 'true')
    const finding = await expectFinding(t, 'working-directory-escape', name)
    t.is(finding.evidence['working_directory'], '/proc/self/fd/7')
  },
)

serial('a process in a container with a working directory on the host is detected', async (t) => {
  const { name, pid } = await runContainer(t)
  // nsenter opens --wd before it enters, like the descriptor that runc once leaked.
  await run('nsenter', '-t', pid, '-m', '-p', '--wd=/sys/fs/cgroup', '/bin/sleep', '1')
  const finding = await expectFinding(t, 'working-directory-escape', name)
  t.like(finding.evidence, { working_directory: '/sys/fs/cgroup', argv: ['/bin/sleep', '1'] })
  t.is(findingsOf(t, name).length, 1)
})

serial(
  '#!/proc/self/exe as the entry point is an attempt, even if the runtime cannot start in the container',
  async (t) => {
    const { hostlike } = t.context
    const runs = newName()
    await tryDocker('run', '--network=none', '--name', runs, hostlike, '/bin/entry')
    const ran = await expectFinding(t, 'overwrite-attempt', runs)
    await until(() => 'executed' in (findingsOf(t, runs)[0]?.evidence ?? {}))
    t.like(ran.evidence['executed'] ?? findingsOf(t, runs)[0]?.evidence['executed'], {
      argv: ['/proc/self/exe', '/bin/entry'],
    })
    t.is(findingsOf(t, runs).length, 1)

    // Without its libraries the runtime fails to start: the only sign is that it was opened.
    const fails = newName()
    const script = join(t.context.directory, 'entry')
    await writeFile(script, '#!/proc/self/exe\n', { mode: 0o755 })
    const mounted = ['-v', `${script}:/entry:ro`, t.context.image, '/entry']
    await tryDocker('run', '--network=none', '--name', fails, ...mounted)
    const tried = await expectFinding(t, 'overwrite-attempt', fails)
    t.like(tried.evidence['opened'], { path: '/usr/sbin/runc', by_runtime: true, command: ['/entry'] })
    t.is(findingsOf(t, fails).length, 1)
  },
)

serial(
  'an entry point or an exec of /proc/self/exe is an attempt from its command line alone, and one finding',
  async (t) => {
    const { image } = t.context
    const name = newName()
    await tryDocker('run', '--network=none', '--name', name, image, '/proc/self/exe')
    t.like((await expectFinding(t, 'overwrite-attempt', name)).evidence['configured'], {
      command: ['/proc/self/exe'],
    })
    const running = await runContainer(t)
    await tryDocker('exec', running.name, '/proc/self/exe')
    await expectFinding(t, 'overwrite-attempt', running.name)
    await until(() => 'requested' in (findingsOf(t, running.name)[0]?.evidence ?? {}))
    t.is(findingsOf(t, name).length, 1)
    t.is(findingsOf(t, running.name).length, 1)
  },
)

serial('each step of the exploit of 2019 is detected: an attempt, then a written runtime', async (t) => {
  const { decoy } = t.context
  const { name, pid } = await runContainer(t, '--user', '1000:1000')
  // Like an old runtime while it enters: in the container's pid namespace, with the privileges of its processes.
  const rights = ['setpriv', '--reuid=1000', '--regid=1000', '--clear-groups']
  const runtime = spawn('nsenter', ['-t', pid, '-p', ...rights, decoy, '600'])
  const ended = once(runtime, 'exit')
  t.teardown(() => runtime.kill())
  const find = 'grep -lx decoy-runc /proc/[0-9]*/comm 2>/dev/null'
  const inside = await until(async () => {
    const { stdout } = await tryDocker('exec', name, 'sh', '-c', find)
    return /\/proc\/(\d+)\//.exec(stdout)?.[1]
  })
  // Opens the runtime through /proc, holds the descriptor until it exits, and writes through /proc/self/fd.
  const exploit = `exec 9< /proc/${inside}/exe; kill ${inside}; while [ -d /proc/${inside} ]; do sleep 0.1; done; echo overwritten > /proc/self/fd/9`
  await docker('exec', name, 'sh', '-c', exploit)
  await ended
  t.is(await readFile(decoy, 'utf8'), 'overwritten\n')
  // The finding may first report that the runtime ran in the container; the process that opened it is added later.
  const attempt = await expectFinding(t, 'overwrite-attempt', name, ({ evidence }) => 'opened' in evidence)
  t.like(attempt.evidence['opened'], { path: decoy, by_runtime: false, uid: 1000 })
  const written = await expectFinding(t, 'runtime-binary-written', name)
  t.is(written.evidence['path'], decoy)
})

serial('a usermode helper from a container’s files is detected, whichever path leads to it', async (t) => {
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
      // The kernel truncates longer patterns (CORENAME_MAX_SIZE).
      t.true(pattern.length < 127, pattern)
      await writeFile(corePattern, `|${pattern}`)
      await tryDocker('exec', name, 'sh', '-c', 'kill -SEGV $$')
      const finding = await expectFinding(
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

serial(
  'known vulnerabilities of the engine’s components are determined from their package versions',
  async (t) => {
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
    const vulnerable = (cve: string) =>
      daemon.metric(`tidewatch_runtime_vulnerable{cve="${cve}",component="runc",version="${version}"}`)
    t.is(await vulnerable('CVE-2024-21626'), 0)
    t.is(await vulnerable('CVE-2025-31133'), 1)
    const firing = daemon
      .findings({ detector })
      .filter(({ rule, state }) => rule === 'runtime-vulnerable' && state === 'firing')
    t.true(
      firing.some(
        ({ evidence }) => evidence['cve'] === 'CVE-2025-31133' && evidence['package_version'] === version,
      ),
    )
    t.false(firing.some(({ evidence }) => evidence['cve'] === 'CVE-2024-21626'))
  },
)
