import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { renderTable } from '../../agent/cli/table.ts'
import { isAtLeast } from '../../agent/model/finding.ts'
import { allRules } from '../../agent/cli/rules.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { installMissing } from '../support/debian.ts'
import { removeState, startDaemon } from '../support/daemon.ts'
import { removeContainers } from '../support/docker.ts'
import { docker, run } from '../support/processes.ts'

// Simulates a day of ordinary operation in a few minutes: deploys, restarts, health checks, jobs inside containers
// and from the host's cron, image builds, compose, inspections, a package upgrade on the host. Prints the findings by
// rule; none should be above info. DAYS=1 by default.

const days = Number(process.env['DAYS'] ?? 1)
const prefix = `tidewatch-bench-noise-${process.pid}`
const image = await busyboxImage()
const operations: Record<string, number> = {}

installMissing({ 'docker-compose': 'docker-compose' })
const daemon = await startDaemon()
try {
  for (let day = 0; day < days; day += 1) await live(day)
  await sleep(5_000)
  print()
} finally {
  await removeContainers(prefix)
  await docker('rmi', '-f', ...[0, 1, 2].map((n) => `${prefix}:${n}`)).catch(() => undefined)
  await daemon.stop()
  await removeState(daemon)
}

async function live(day: number): Promise<void> {
  const name = (what: string) => `${prefix}-${what}-${day}`
  // Long-running containers: as another user, with health checks, with a job every second, as root with workers.
  await perform('containers started', () =>
    start(name('web'), '--user', '1000', '--memory', '64m', '--pids-limit', '50', '--cpus', '1'),
  )
  await perform('containers started', () =>
    start(name('checked'), '--health-cmd', 'test -d /tmp', '--health-interval', '1s'),
  )
  await docker(
    'run',
    '-d',
    '--name',
    name('cron'),
    image,
    'sh',
    '-c',
    'while sleep 1; do date >/dev/null; ls / >/dev/null; done',
  )
  await docker('run', '-d', '--init', '--restart', 'always', '--name', name('init'), image, 'sleep', '86400')

  for (let release = 0; release < 3; release += 1) {
    await perform('images built', () => build(`${prefix}:${release}`))
    await perform('deploys', async () => {
      await docker(
        'run',
        '-d',
        '--name',
        name(`app-${release}`),
        '--user',
        '1000',
        `${prefix}:${release}`,
        'sleep',
        '86400',
      )
      if (release > 0) await docker('rm', '-f', name(`app-${release - 1}`))
    })
    await perform('restarts', () => docker('restart', '-t', '0', name('web')))
    await perform('jobs from the host', () =>
      docker('exec', name(`app-${release}`), 'sh', '-c', 'ls / | wc -l'),
    )
    for (let job = 0; job < 10; job += 1)
      await perform('short containers', () =>
        docker('run', '--rm', '--network=none', '--name', name('job'), image, 'true'),
      )
    await perform('inspections', async () => {
      for (const look of [
        ['ps'],
        ['top', name('web')],
        ['stats', '--no-stream', name('web')],
        ['logs', name('web')],
        ['inspect', name('web')],
        ['diff', name('web')],
      ])
        await docker(...look)
    })
    await perform('copies', async () => {
      await docker('cp', `${name('web')}:/bin/busybox`, '/dev/null').catch(() => undefined)
      await docker('cp', '/etc/hostname', `${name('cron')}:/tmp/hostname`)
    })
    await perform('pauses', async () => {
      await docker('pause', name('web'))
      await docker('unpause', name('web'))
    })
    await perform('commits', () => docker('commit', name('cron'), `${prefix}:${release}`))
    await perform('limits changed', () =>
      docker('update', '--memory', '96m', '--memory-swap', '96m', name('web')),
    )
  }
  await perform('projects brought up, changed and taken down by compose', () => compose(name('compose')))
  // Containers use no files of this package.
  await perform('packages upgraded', () => run('apt-get', 'install', '-y', '-qq', '--reinstall', 'bsdutils'))
  await perform('health checks, seconds of', () => sleep(20_000))
  await perform('restarts', () => docker('restart', '-t', '0', name('init')))
  for (const what of ['web', 'checked', 'cron', 'init', 'app-2'])
    await perform('containers ended', () => docker('rm', '-f', name(what)))
}

/** Two services, one as another user; the second `up` recreates the changed one. */
async function compose(project: string): Promise<void> {
  const service = { image, network_mode: 'none', command: ['sleep', '86400'], stop_grace_period: '0s' }
  const directory = await mkdtemp(join(tmpdir(), `${project}-`))
  const call = (...args: string[]) =>
    run(
      'docker-compose',
      '--project-directory',
      directory,
      '--project-name',
      project,
      '--file',
      file,
      ...args,
    )
  const file = join(directory, 'docker-compose.yml')
  const write = (environment: object) => {
    const services = { web: { ...service, user: '1000' }, job: { ...service, environment } }
    return writeFile(file, JSON.stringify({ version: '2.4', services }))
  }
  try {
    await write({})
    await call('up', '-d')
    await call('exec', '-T', 'web', 'true')
    await write({ RELEASE: '2' })
    await call('up', '-d')
    await call('ps')
  } finally {
    await call('down').catch(() => undefined)
    await rm(directory, { recursive: true, force: true })
  }
}

async function start(name: string, ...options: string[]): Promise<void> {
  await docker('run', '-d', '--name', name, ...options, image, 'sleep', '86400')
}

async function build(tag: string): Promise<void> {
  const dockerfile = `FROM ${image}\nRUN echo ${tag} > /release && chown 1000 /release\nRUN ls / && date\n`
  await run(
    'sh',
    '-c',
    `printf '%b' "$1" | DOCKER_BUILDKIT=0 docker build -q -t "$2" -`,
    'sh',
    dockerfile.replaceAll('\n', '\\n'),
    tag,
  )
}

async function perform(what: string, work: () => Promise<unknown>): Promise<void> {
  operations[what] = (operations[what] ?? 0) + 1
  await work()
}

function print(): void {
  // Tests may run at the same time.
  const found = daemon.findings().filter(({ container }) => !container?.name.startsWith('tidewatch-test-'))
  const rows = allRules()
    .map(({ rule, severity }) => [rule, severity, String(found.filter((one) => one.rule === rule).length)])
    .filter(([, , count]) => count !== '0')
  process.stdout.write(
    `${Object.entries(operations)
      .map(([what, count]) => `${count} ${what}`)
      .join(', ')}\n\n`,
  )
  process.stdout.write(renderTable(['RULE', 'SEVERITY', 'FINDINGS'], rows))
  const loud = found.filter(({ severity }) => isAtLeast(severity, 'warning'))
  process.stdout.write(`\n${loud.length} above info${loud.length === 0 ? '' : ':'}\n`)
  for (const { severity, rule, summary } of loud) process.stdout.write(`${severity} ${rule}: ${summary}\n`)
}
