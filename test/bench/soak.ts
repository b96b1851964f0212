import { readdirSync } from 'node:fs'
import { loadavg } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { renderTable } from '../../agent/cli/table.ts'
import { sourceNames } from '../../agent/model/observation.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { type ChurningEngine, churningEngine, randomId } from '../support/churning-engine.ts'
import { removeContainers } from '../support/docker.ts'
import { docker } from '../support/processes.ts'
import { type Bundled, makeBundle, residentMiB, startBundled } from './bundled.ts'
import { plot } from './soak/plot.ts'
import { type Sample, trendOf } from './soak/trend.ts'

// An hour of churn: 50,000 containers come and go in a fake engine, and 1,000 in this host's engine, each monitored
// by an installed daemon. Plots the resource usage of each daemon and reports growth from the beginning to the end.
// `--minutes=N` for a shorter run with the same rate.

const { values: options } = parseArgs({ options: { minutes: { type: 'string', default: '60' } } })
const minutes = Number(options.minutes)
const lives = { fake: Math.ceil((50_000 / 60) * minutes), real: Math.ceil((1_000 / 60) * minutes) }
const totalMs = minutes * 60_000
// The series of a removed container are kept for five minutes, and its entry for one; until then everything grows.
const warmUpMs = Math.min(330_000, totalMs / 2)
const sampleMs = Math.max(2_000, totalMs / 240)
const prefix = `tidewatch-bench-soak-${process.pid}`

/** The sampled values, and their insignificant variation. */
const looks = {
  'resident memory, MiB': 10,
  'heap, MiB': 3,
  'file descriptors': 5,
  // The first finding of a detector, or loss of a source, adds a dozen.
  'series of a scrape': 50,
  timers: 5,
  'other resources of the loop': 5,
} as const
type Look = keyof typeof looks
type Samples = Record<Look, Sample[]>

const startedAt = performance.now()
const bundle = await makeBundle()
const engine = await churningEngine()
const daemons: Bundled[] = []
try {
  const nodeFlags = ['--expose-gc']
  const faked = await startBundled(bundle, { host: engine.host, nodeFlags })
  daemons.push(faked)
  await engine.attached()
  const real = await startBundled(bundle, { nodeFlags })
  daemons.push(real)
  const startMs = performance.now()
  const isOver = () => performance.now() - startMs >= totalMs
  const [ofFaked, ofReal, faking, running] = await Promise.all([
    sampled(faked, '', isOver),
    sampled(real, prefix, isOver),
    paced(lives.fake, (n) => fakeLife(engine, n)),
    paced(lives.real, realLife),
  ])
  await print(`${faking} lives in a fake engine, ${engine.sent()} events`, faked, ofFaked)
  await print(`${running} lives in this host’s engine`, real, ofReal)
  process.stdout.write(
    `${((performance.now() - startedAt) / 60_000).toFixed(1)} minutes; load of the host ${loadavg()
      .map((load) => load.toFixed(1))
      .join(' ')}\n`,
  )
} finally {
  for (const daemon of daemons) await daemon.stop()
  await engine.stop()
  await removeContainers(prefix)
  await bundle.remove()
}

/** Distributes container lives evenly over the time; late ones follow immediately. */
async function paced(count: number, live: (n: number) => Promise<void>): Promise<number> {
  const startMs = performance.now()
  let n = 0
  for (; n < count && performance.now() - startMs < totalMs; n += 1) {
    await live(n)
    await sleep(Math.max(0, ((n + 1) / count) * totalMs - (performance.now() - startMs)))
  }
  return n
}

/** Like jobs of a build server: names are reused, and every tenth container gets an exec. */
async function fakeLife({ create, exec, remove }: ChurningEngine, n: number): Promise<void> {
  const container = {
    id: randomId(),
    name: `job-${n % 500}`,
    labels: { 'com.docker.compose.project': `p${n % 50}` },
  }
  await create(container)
  if (n % 10 === 0) await exec(container, ['make', `target-${n % 20}`])
  await remove(container.id)
}

async function realLife(n: number): Promise<void> {
  const name = `${prefix}-${n % 50}`
  const image = await busyboxImage()
  await docker('run', '--rm', '--network=none', '--user=1000', '--name', name, image, 'true').catch(
    () => undefined,
  )
}

/** Samples a daemon. `containers` is the name prefix of the benchmark's containers; the host may have others. */
async function sampled(daemon: Bundled, containers: string, isOver: () => boolean): Promise<Samples> {
  const samples = Object.fromEntries(Object.keys(looks).map((name) => [name, []])) as unknown as Samples
  await sleep(warmUpMs)
  while (!isOver()) {
    const { heapUsed, resources } = await daemon.inside()
    const { Timeout = 0, Immediate: _soonGone, ...others } = resources
    const values: Record<Look, number> = {
      'resident memory, MiB': residentMiB(daemon.pid),
      'heap, MiB': heapUsed / 2 ** 20,
      'file descriptors': readdirSync(`/proc/${daemon.pid}/fd`).length,
      'series of a scrape': (await daemon.scrape()).series(containers),
      timers: Timeout,
      'other resources of the loop': Object.values(others).reduce((sum, count) => sum + count, 0),
    }
    const hours = (performance.now() - startedAt) / 3_600_000
    for (const [name, value] of Object.entries(values)) samples[name as Look].push({ hours, value })
    await sleep(sampleMs)
  }
  return samples
}

async function print(what: string, daemon: Bundled, samples: Samples): Promise<void> {
  const { sum } = await daemon.scrape()
  const lost = sourceNames
    .map((source) => ({ source, count: sum('tidewatch_source_events_lost_total', { source }) }))
    .filter(({ count }) => count > 0)
    .map(({ source, count }) => `, ${count} lost by ${source}`)
  const failed = sum('tidewatch_detector_errors_total')
  process.stdout.write(`\n${what}${lost.join('')}, ${failed} detector failures\n\n`)
  const rows = Object.entries(samples).map(([name, all]) => {
    process.stdout.write(`${name}\n${plot(all.map(({ value }) => value))}\n`)
    const { first, last, perHour, isFlat } = trendOf(all, looks[name as Look])
    if (!isFlat) process.exitCode = 1
    return [name, first.toFixed(1), last.toFixed(1), perHour.toFixed(1), isFlat ? 'flat' : 'GREW']
  })
  process.stdout.write(`\n${renderTable(['', 'FIRST QUARTER', 'LAST QUARTER', 'PER HOUR', ''], rows)}`)
}
