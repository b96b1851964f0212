import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { renderTable } from '../../agent/cli/table.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { removeContainers } from '../support/docker.ts'
import { docker } from '../support/processes.ts'
import { type Bundled, makeBundle, residentMiB, startBundled } from './bundled.ts'

// The resource usage of the installed daemon (the bundle with its flags), idle and under unrealistically high load,
// compared with the limits of its unit. Peaks are of resident memory; ratios are to the idle value and to the limit.

const containers = Number(process.env['CONTAINERS'] ?? 20)
const seconds = Number(process.env['SECONDS_EACH'] ?? 30)
const prefix = `tidewatch-bench-service-${process.pid}`
const root = join(import.meta.dirname, '../..')
const ceilingMiB = await memoryMax()

type Row = { load: string; cpuPercent: number; peakMiB: number }

const bundle = await makeBundle()
let daemon: Bundled | undefined
try {
  const image = await busyboxImage()
  for (let index = 0; index < containers; index += 1)
    await docker('run', '-d', '--name', `${prefix}-${index}`, '--network=none', image, 'sleep', '86400')
  daemon = await startBundled(bundle)
  const { pid, url } = daemon
  const rows = [
    await measured(pid, `at rest, ${containers} containers`, () => sleep(seconds * 1_000)),
    await measured(pid, 'execs in one container, 8 loops', () => execLoops(0)),
    await measured(pid, 'execs in every container', async () => {
      await Promise.all(Array.from({ length: containers }, (_, index) => execLoops(index, 1)))
    }),
    await measured(pid, 'docker exec, 4 at once', dockerExecs),
    await measured(pid, 'containers that come and go', containerLives),
    await measured(pid, 'scrapes, one after the other', () => scrapes(url)),
  ]
  print(rows)
} finally {
  await daemon?.stop()
  await removeContainers(prefix)
  await bundle.remove()
}

async function measured(pid: number, load: string, work: () => Promise<unknown>): Promise<Row> {
  let peakMiB = 0
  const watching = setInterval(() => (peakMiB = Math.max(peakMiB, residentMiB(pid))), 100)
  try {
    const [cpuBefore, before] = [cpuMs(pid), performance.now()]
    await work()
    const cpuPercent = ((cpuMs(pid) - cpuBefore) / (performance.now() - before)) * 100
    return { load, cpuPercent, peakMiB }
  } finally {
    clearInterval(watching)
  }
}

async function execLoops(index: number, loops = 8): Promise<void> {
  const script = `end=$(($(date +%s) + ${seconds})); for j in $(seq ${loops}); do (while [ $(date +%s) -lt $end ]; do
    i=0; while [ $i -lt 100 ]; do /bin/true $i; i=$((i+1)); done; done) & done; wait`
  await docker('exec', `${prefix}-${index}`, 'sh', '-c', script)
}

async function dockerExecs(): Promise<void> {
  const end = performance.now() + seconds * 1_000
  await Promise.all(
    Array.from({ length: 4 }, async (_, index) => {
      while (performance.now() < end) await docker('exec', `${prefix}-${index % containers}`, 'true')
    }),
  )
}

async function containerLives(): Promise<void> {
  const end = performance.now() + seconds * 1_000
  const image = await busyboxImage()
  for (let index = 0; performance.now() < end; index += 1)
    await docker('run', '--rm', '--name', `${prefix}-life-${index}`, '--network=none', image, 'true')
}

async function scrapes(url: string): Promise<void> {
  const end = performance.now() + seconds * 1_000
  while (performance.now() < end) await (await fetch(`${url}/metrics`)).text()
}

function cpuMs(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

/** `MemoryMax=` of the unit, in MiB. */
async function memoryMax(): Promise<number> {
  const unit = await readFile(join(root, 'systemd/files/tidewatch.service'), 'utf8')
  return Number(/^MemoryMax=(\d+)M$/m.exec(unit)?.[1])
}

function print(rows: readonly Row[]): void {
  const rest = rows[0]?.peakMiB ?? NaN
  process.stdout.write(
    renderTable(
      ['LOAD', 'CPU %', 'PEAK MiB', 'TO IDLE', `OF ${ceilingMiB} MiB`],
      rows.map(({ load, cpuPercent, peakMiB }) => [
        load,
        cpuPercent.toFixed(1),
        peakMiB.toFixed(0),
        (peakMiB / rest).toFixed(2),
        (peakMiB / ceilingMiB).toFixed(2),
      ]),
    ),
  )
}
