import { randomBytes } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { renderTable } from '../../agent/cli/table.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { removeState, startDaemon } from '../support/daemon.ts'
import { docker, start } from '../support/processes.ts'
import { until } from '../support/until.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { receivePosts } from './posts.ts'

// The time from an operation on a real engine to the POST at an Alertmanager. For a `docker exec` it starts at the
// engine's start time, for a write to a runtime file just before the write. The ratio is to the duration of `docker
// exec true`, as experienced at a terminal. ACTS=200 sequential operations of each kind by default.

const operations = Number(process.env['ACTS'] ?? 200)
const container = `tidewatch-bench-latency-${process.pid}`

type Posted = { labels: Record<string, string>; annotations: Record<string, string> }
/** The first arrival of an alert, in epoch milliseconds, by the ID of the operation. */
const arrivals = new Map<string, number>()
const server = await receivePosts((body, at) => {
  for (const { annotations } of body as Posted[]) {
    const operation = annotations['evidence_exec_id'] ?? annotations['evidence_sha256_after']
    if (operation !== undefined && !arrivals.has(operation)) arrivals.set(operation, at)
  }
})

const directory = await temporaryDirectory()
const decoy = join(directory, 'runc')
await writeFile(decoy, 'original')
const daemon = await startDaemon({
  config: {
    alertmanagers: [{ url: server.url, min_severity: 'info' }],
    sources: { runtime_files: { paths: [decoy] } },
  },
})
const events = start('docker', ['events', '--format', '{{json .}}', '--filter', 'event=exec_start'])
try {
  await docker('run', '-d', '--network=none', '--name', container, await busyboxImage(), 'sleep', '86400')
  const execs = await measureExecs()
  const writes = await measureWrites()
  print([
    ['docker exec', execs.latencies],
    ['runtime file written', writes],
    ['(docker exec true itself)', execs.durations],
  ])
} finally {
  await docker('rm', '-f', container).catch(() => undefined)
  await events.stop()
  await daemon.stop()
  await removeState(daemon)
  await rm(directory, { recursive: true, force: true })
  server.close()
}

async function measureExecs() {
  const startedAt = new Map<string, number>()
  createInterface({ input: events.process.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    const time = Number(/"timeNano":(\d+)/.exec(line)?.[1]) / 1e6
    const id = /"execID":"([0-9a-f]{64})"/.exec(line)?.[1]
    if (id !== undefined && line.includes(container)) startedAt.set(id, time)
  })
  const durations: number[] = []
  for (let n = 1; n <= operations; n += 1) {
    const before = performance.now()
    await docker('exec', container, 'true')
    durations.push(performance.now() - before)
    await until(() => startedAt.size === n && [...startedAt.keys()].every((id) => arrivals.has(id)))
  }
  return { durations, latencies: [...startedAt].map(([id, at]) => (arrivals.get(id) ?? NaN) - at) }
}

async function measureWrites(): Promise<number[]> {
  const latencies: number[] = []
  for (let n = 0; n < operations; n += 1) {
    const known = arrivals.size
    const before = performance.timeOrigin + performance.now()
    await writeFile(decoy, randomBytes(16).toString('hex'))
    await until(() => arrivals.size > known)
    latencies.push(Math.max(...arrivals.values()) - before)
  }
  return latencies
}

function print(rows: [string, number[]][]): void {
  const own = quantile(rows.at(-1)?.[1] ?? [], 0.5)
  const table = rows.map(([name, values]) => {
    const [p50, p90, p99, most] = [0.5, 0.9, 0.99, 1].map((q) => quantile(values, q)) as [
      number,
      number,
      number,
      number,
    ]
    return [
      name,
      String(values.length),
      ...[p50, p90, p99, most].map((ms) => ms.toFixed(1)),
      (p50 / own).toFixed(2),
    ]
  })
  process.stdout.write(
    renderTable(
      ['operation to POST', 'operations', 'p50 ms', 'p90 ms', 'p99 ms', 'max ms', 'p50 / exec'],
      table,
    ),
  )
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN
}
