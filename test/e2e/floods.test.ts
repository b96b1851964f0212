import { readFileSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import { busyboxImage } from '../support/busybox-image.ts'
import { churningEngine, randomId } from '../support/churning-engine.ts'
import { type Daemon, startDaemonFor } from '../support/daemon.ts'
import { removeContainers } from '../support/docker.ts'
import { docker } from '../support/processes.ts'
import { fullRunCount, until } from '../support/until.ts'

// `npm run bench:floods` does the same on a larger scale with an installed daemon, and measures it.

const prefix = `tidewatch-test-floods-${process.pid}`
const source = 'source="docker-events"'

test.after.always(async () => {
  await removeContainers(prefix)
})

async function floodedDaemon(t: ExecutionContext) {
  const engine = await churningEngine()
  t.teardown(() => engine.stop())
  const daemon = await startDaemonFor(t, { args: [`--docker.host=${engine.host}`] })
  await engine.attached()
  return { engine, daemon }
}

/** The sum of all series that start with this text. */
async function sum({ metrics }: Daemon, start: string): Promise<number> {
  const lines = (await metrics()).split('\n').filter((line) => line.startsWith(start))
  return lines.reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}

test.serial(
  'when more events arrive than can be queued, each is either processed or counted as dropped',
  async (t) => {
    const { engine, daemon } = await floodedDaemon(t)
    const container = { id: randomId(), name: 'burst', labels: {} }
    await engine.create(container)
    for (let n = 0; n < 5_000; n += 1) await engine.exec(container, ['true', String(n)])
    const processed = () => sum(daemon, `tidewatch_source_events_total{${source}`)
    const dropped = () => sum(daemon, `tidewatch_source_events_lost_total{${source}`)
    await until(async () => (await processed()) + (await dropped()) >= engine.sent(), 120_000)
    t.is((await processed()) + (await dropped()), engine.sent())
  },
)

test.serial('container labels of a megabyte do not exhaust the daemon’s memory', async (t) => {
  const { engine, daemon } = await floodedDaemon(t)
  const before = residentMiB(daemon, 'VmRSS')
  const count = fullRunCount(800)
  for (let n = 0; n < count; n += 1) {
    const labels = { note: `${n} ${'x'.repeat(1_048_576)}` }
    await engine.create({ id: randomId(), name: `label-${n}`, labels })
  }
  await until(async () => (await daemon.metric('tidewatch_containers{state="running"}')) === count)
  // Kept labels would be `count` MiB on top of some 90 that reading them takes.
  const grown = residentMiB(daemon, 'VmHWM') - before
  t.true(grown < 40 + (count * 2) / 3, `${grown} MiB`)
})

test.serial(
  'operations in one container are detected while another one starts processes endlessly',
  async (t) => {
    const daemon = await startDaemonFor(t)
    const image = await busyboxImage()
    const [noisy, quiet] = [`${prefix}-noisy`, `${prefix}-quiet`]
    for (const name of [noisy, quiet])
      await docker('run', '-d', '--network=none', '--name', name, image, 'sleep', '600')
    const loop = '(while :; do (:); /bin/true; done) &'
    const flood = docker('exec', noisy, 'sh', '-c', `${loop} ${loop} wait`).catch(() => undefined)
    await docker('exec', '-i', quiet, 'sh', '-c', 'true')
    await docker('exec', quiet, 'true')
    const rules = () => daemon.findings({ container: quiet }).map(({ rule }) => rule)
    await until(() => rules().includes('interactive-shell') && rules().includes('exec-command'))
    await docker('kill', noisy)
    await flood
    t.pass()
  },
)

function residentMiB({ process: { pid } }: Daemon, name: 'VmRSS' | 'VmHWM'): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`${name}:\\s+(\\d+)`).exec(text)?.[1]) / 1_024
}
