import { setTimeout as sleep } from 'node:timers/promises'
import anyTest, { type ExecutionContext, type TestFn } from 'ava'
import type { Finding } from '../../agent/model/finding.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { type Daemon, removeState, startDaemon, logIfFailed } from '../support/daemon.ts'
import { removeContainers } from '../support/docker.ts'
import { docker, run } from '../support/processes.ts'
import { isFull, patience, scaled, until } from '../support/until.ts'

// Ordinary operation of the runtime: containers start, images are built, and the distribution's packages are upgraded.

type Context = { daemon: Daemon; image: string }
const test = anyTest as TestFn<Context>
const prefix = `tidewatch-test-operation-${process.pid}`
const count = isFull ? 300 : scaled(16)
const parallel = 4

let stop: () => Promise<void> = async () => {}

test.before(async (t) => {
  const image = await busyboxImage()
  const daemon = await startDaemon()
  stop = async () => {
    await daemon.stop()
    await removeState(daemon)
  }
  await until(async () =>
    (await daemon.metrics()).includes('tidewatch_runtime_file_info{path="/usr/sbin/runc"'),
  )
  t.context = { daemon, image }
})

test.afterEach.always((t) => logIfFailed(t, t.context.daemon))

test.after.always(async () => {
  await removeContainers(prefix)
  await stop()
})

/** Starts, enters, stops and removes containers, and occasionally builds an image. */
async function operate(t: ExecutionContext<Context>, containers: number): Promise<void> {
  const { image } = t.context
  let next = 0
  const worker = async () => {
    while (next < containers) {
      const name = `${prefix}-${(next += 1)}`
      await docker('run', '-d', '--network=none', '--name', name, image, 'sleep', '600')
      await docker('exec', name, 'sh', '-c', 'ls / | wc -l')
      if (next % 10 === 0) await build(image)
      await docker('rm', '-f', name)
    }
  }
  await Promise.all(Array.from({ length: parallel }, worker))
}

async function build(image: string): Promise<void> {
  const dockerfile = `FROM ${image}\\nRUN date > /built && ls /\\n`
  const script = `printf '${dockerfile}' | DOCKER_BUILDKIT=0 docker build -q --no-cache -`
  await docker('rmi', '-f', (await run('sh', '-c', script)).trim())
}

/** Findings about this test's containers and the host's runtime, but not about the host's versions and settings. */
const found = ({ context: { daemon } }: ExecutionContext<Context>): Finding[] =>
  daemon
    .findings({ detector: 'runtime-path-write' })
    .filter(({ rule }) => rule !== 'runtime-vulnerable' && !rule.startsWith('breakout-file'))
    .filter(({ container }) => container === null || container.name.startsWith(prefix))

/** When the upgrade was reported. A contradicting finding may follow within a minute. */
let upgradedAt = 0

// The emulated host has no network to fetch packages from.
const onRealHost = process.env['TIDEWATCH_TEST_HOST'] === 'emulated' ? test.serial.skip : test.serial

onRealHost('reinstalling a package while containers start is one upgrade', async (t) => {
  t.timeout(600_000 * patience)
  const apt = ['-y', '-qq', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Use-Pty=0']
  const operating = operate(t, 20)
  await run(
    'env',
    'DEBIAN_FRONTEND=noninteractive',
    'NEEDRESTART_SUSPEND=1',
    'apt-get',
    'install',
    ...apt,
    '--reinstall',
    'runc',
  )
  await operating
  const upgraded = await until(() => found(t).find(({ rule }) => rule === 'runtime-upgraded'), 90_000)
  const version = (await run('dpkg-query', '-W', '-f', '${Version}', 'runc')).trim()
  t.like(upgraded.evidence, {
    files: ['/usr/sbin/runc'],
    package: 'runc',
    package_manager: 'dpkg',
    version_before: version,
    version_after: version,
  })
  t.like(upgraded.evidence['writer'], { exe: '/usr/bin/dpkg', package_manager: 'dpkg' })
  t.is(upgraded.severity, 'info')
  t.is(upgraded.container, null)
  upgradedAt = performance.now()
})

test.serial(
  `${count} containers started, entered, stopped and removed, and image builds, cause no findings`,
  async (t) => {
    t.timeout(1_200_000 * patience)
    const before = found(t).map(({ rule }) => rule)
    await operate(t, count)
    t.deepEqual(
      found(t).map(({ rule }) => rule),
      before,
    )
  },
)

onRealHost('no finding contradicts the upgrade within a minute', async (t) => {
  t.timeout(120_000)
  // Digest and writer are last compared after 60 s.
  await sleep(Math.max(0, upgradedAt + 65_000 - performance.now()))
  t.deepEqual(
    found(t).map(({ rule }) => rule),
    ['runtime-upgraded'],
  )
})
