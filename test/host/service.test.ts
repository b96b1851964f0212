import { access, copyFile, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import anyTest from 'ava'
import { runContainer } from '../support/docker.ts'
import { docker, run } from '../support/processes.ts'
import { until } from '../support/until.ts'
import {
  apt,
  allSourcesAtBest,
  findings,
  found,
  metric,
  property,
  restarted,
  sourceModes,
  statusMatches,
} from './installed.ts'

// The Debian package on a booted host, with operations of an administrator and an attacker one after the other.
// `test/host/run.ts` builds the package and passes its path.

const deb = process.env['TIDEWATCH_TEST_DEB']
const test = deb === undefined ? anyTest.skip : anyTest.serial

// capabilities(7): DAC_READ_SEARCH, NET_ADMIN, SYS_PTRACE, SYS_ADMIN, PERFMON, BPF.
const capabilities = [2, 12, 19, 21, 38, 39]

const dropIns = '/etc/systemd/system/tidewatch.service.d'

anyTest.after.always(async () => {
  if (deb === undefined) return
  await rm(dropIns, { recursive: true, force: true })
  await run('systemctl', 'start', 'docker.socket', 'docker.service')
})

test('the package installs without further packages, and the service is started, ready and enabled', async (t) => {
  await apt('install', deb ?? '')
  t.is(await property('ActiveState'), 'active')
  t.is((await run('systemctl', 'is-enabled', 'tidewatch')).trim(), 'enabled')
  t.regex(await run('tidewatch', 'version'), /^tidewatch \d/)
  t.is(await run('tidewatch', 'check-config'), '/etc/tidewatch/tidewatch.yml: the configuration is valid\n')
})

test('every source is up and in its best mode with the privileges of the unit', async (t) => {
  await allSourcesAtBest()
  t.regex(await run('tidewatch', 'check-ready'), /is ready/)
  const modes = await sourceModes()
  for (const [source, mode] of modes) t.log(`${source.padEnd(14)} ${mode}`)
  t.deepEqual(Object.fromEntries(modes), {
    'docker-events': 'stream',
    containers: 'api',
    resources: 'cgroup-v2',
    processes: 'ebpf',
    'runtime-files': 'fanotify',
    'container-masks': 'mountinfo',
    'breakout-files': 'bpf+fanotify',
  })
})

test('the daemon is not root, cannot become root, and has exactly six capabilities', async (t) => {
  const status = await readFile(`/proc/${await property('MainPID')}/status`, 'utf8')
  const value = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? ''
  t.false(value('Uid').split('\t').includes('0'))
  t.is(value('NoNewPrivs'), '1')
  t.is(value('Seccomp'), '2')
  const wanted = capabilities.reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n)
  for (const set of ['CapEff', 'CapPrm', 'CapBnd', 'CapAmb']) t.is(BigInt(`0x${value(set)}`), wanted, set)
})

test('only the daemon and root can read the state directory, and root can list findings', async (t) => {
  const { mode, uid } = await stat('/var/lib/tidewatch')
  t.is(mode & 0o777, 0o700)
  t.not(uid, 0)
  await findings()
  t.is(await metric('tidewatch_store_up'), 1)
  for (const other of ['/run/tidewatch', '/var/log/tidewatch']) await t.throwsAsync(access(other))
})

test('suspicious operations are detected, stored and counted', async (t) => {
  const { name } = await runContainer(t, ['--user', '1000'])
  await docker('exec', name, 'true')
  await found({ rule: 'exec-command', container: name })
  await docker('exec', '--user', '0', name, 'id')
  await found({ rule: 'exec-as-root', container: name })
  const pid = (await docker('inspect', '--format', '{{.State.Pid}}', name)).trim()
  await run('nsenter', '--target', pid, '--mount', '--pid', '/bin/ls', '/')
  await found({ rule: 'untracked-exec', container: name })
  await found({ rule: 'no-limits', container: name })

  const runtime = '/usr/sbin/runc'
  await copyFile(runtime, `${runtime}.new`)
  await rename(`${runtime}.new`, runtime)
  const replaced = await found({ rule: 'runtime-binary-replaced', container: null })
  t.is(replaced.severity, 'critical')
  const labels = 'detector="runtime-path-write",rule="runtime-binary-replaced",severity="critical"'
  t.true(((await metric(`tidewatch_findings_total{${labels}}`)) ?? 0) >= 1)
})

test('a reload keeps the process, which becomes ready again', async (t) => {
  const pid = await property('MainPID')
  await run('systemctl', 'reload', 'tidewatch')
  await until(async () => (await property('ActiveState')) === 'active')
  t.is(await property('MainPID'), pid)
  t.is(await property('NRestarts'), '0')
})

test('after SIGKILL the daemon restarts with all its findings, and detects what happened in between', async (t) => {
  const { name } = await runContainer(t)
  await docker('exec', name, 'echo', 'before')
  await found({ rule: 'exec-command', container: name })
  const before = await findings()
  const pid = await property('MainPID')
  process.kill(Number(pid), 'SIGKILL')
  // Another program, because a repetition would only increase the count of the earlier finding.
  await docker('exec', name, 'uname')
  await restarted(pid)
  await until(async () =>
    (await findings(name)).some(({ evidence }) => JSON.stringify(evidence['argv']) === '["uname"]'),
  )
  const after = await findings()
  const ids = after.map(({ id }) => id)
  t.deepEqual(
    before.map(({ id }) => id).filter((id) => !ids.includes(id)),
    [],
  )
  t.is(new Set(ids).size, ids.length)
  const reported = after.filter(
    ({ container, evidence }) =>
      container?.name === name && JSON.stringify(evidence['argv']) === '["echo","before"]',
  )
  t.is(reported.length, 1, 'the earlier finding is not reported again')
})

test('the watchdog kills and restarts a frozen daemon', async (t) => {
  const pid = await property('MainPID')
  process.kill(Number(pid), 'SIGSTOP')
  await restarted(pid)
  t.regex(await run('journalctl', '-u', 'tidewatch', '-o', 'cat', '--no-pager'), /[Ww]atchdog timeout/)
  await allSourcesAtBest()
})

test('the daemon survives a restart of the engine and detects later operations', async (t) => {
  const pid = await property('MainPID')
  await run('systemctl', 'restart', 'docker.service')
  await allSourcesAtBest()
  const { name } = await runContainer(t)
  await docker('exec', name, 'true')
  await found({ rule: 'exec-command', container: name })
  t.is(await property('MainPID'), pid)
})

test('the daemon starts without an engine, reports that, and attaches once the engine is up', async (t) => {
  await run('systemctl', 'stop', 'docker.socket', 'docker.service')
  await run('systemctl', 'restart', 'tidewatch')
  t.is(await property('ActiveState'), 'active')
  await until(async () => (await property('StatusText')).includes('docker-events down'))
  t.is((await run('sh', '-c', 'systemctl is-active docker.service || true')).trim(), 'inactive')
  await run('systemctl', 'start', 'docker.socket', 'docker.service')
  await allSourcesAtBest()
  t.pass()
})

test('only the service can read a secret from the credential store', async (t) => {
  await mkdir('/etc/credstore', { recursive: true, mode: 0o700 })
  await writeFile('/etc/credstore/tidewatch-alertmanager-password', 'open sesame', { mode: 0o600 })
  t.teardown(() => rm('/etc/credstore/tidewatch-alertmanager-password', { force: true }))
  await run('systemctl', 'restart', 'tidewatch')
  const credential = '/run/credentials/tidewatch.service/tidewatch-alertmanager-password'
  t.is(await readFile(credential, 'utf8'), 'open sesame')
  t.is((await stat(credential)).mode & 0o007, 0)
})

test('with the drop-in for hosts without eBPF, processes come from the connector, and only sysctls are degraded', async (t) => {
  await mkdir(dropIns, { recursive: true })
  await copyFile('/usr/share/doc/tidewatch/examples/without-ebpf.conf', `${dropIns}/without-ebpf.conf`)
  const configuration = '/etc/tidewatch/tidewatch.yml'
  const before = await readFile(configuration, 'utf8')
  await writeFile(configuration, `${before}\nsources: { processes: { mode: connector } }\n`)
  await run('systemctl', 'daemon-reload')
  await run('systemctl', 'restart', 'tidewatch')
  await statusMatches(/; breakout-files degraded \(mode fanotify\);/)
  t.is((await sourceModes()).get('processes'), 'connector')
  await writeFile(configuration, before)
  await rm(dropIns, { recursive: true })
  await run('systemctl', 'daemon-reload')
})

test('an invalid configuration stops the service, and systemd does not restart it', async (t) => {
  const configuration = '/etc/tidewatch/tidewatch.yml'
  const before = await readFile(configuration, 'utf8')
  await writeFile(configuration, `${before}\nnonsense: true\n`)
  await t.throwsAsync(run('systemctl', 'restart', 'tidewatch'))
  await until(async () => (await property('ActiveState')) === 'failed')
  t.is(await property('ExecMainStatus'), '78')
  await writeFile(configuration, before)
  await run('systemctl', 'restart', 'tidewatch')
  t.is(await property('ActiveState'), 'active')
})

test('removing the package keeps its findings, and purging it leaves nothing', async (t) => {
  for (const name of ['MemoryPeak', 'CPUUsageNSec']) t.log(name, await property(name))
  await apt('remove', 'tidewatch')
  await t.throwsAsync(run('systemctl', 'is-active', 'tidewatch'))
  await t.throwsAsync(access('/usr/bin/tidewatch'))
  await t.notThrowsAsync(access('/var/lib/tidewatch'))
  await t.notThrowsAsync(access('/etc/tidewatch/tidewatch.yml'))
  await apt('purge', 'tidewatch')
  const left = await run(
    'find',
    '/etc',
    '/usr',
    '/var',
    '/run',
    '-xdev',
    '-name',
    '*tidewatch*',
    '-not',
    '-path',
    '/var/tmp/*',
  )
  t.is(left.replaceAll(/^\/var\/cache\/.*\n/gm, ''), '')
  await t.throwsAsync(run('getent', 'passwd', 'tidewatch'))
})
