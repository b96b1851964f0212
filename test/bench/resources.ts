import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { renderTable } from '../../agent/cli/table.ts'
import type { Container } from '../../agent/model/container.ts'
import { cgroupReader } from '../../agent/sources/resources/cgroup-reader.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { docker } from '../support/processes.ts'
import { sampleContainer } from '../support/samples.ts'
import { bundleScript } from './bundled-script.ts'
import { measureOomLatency, type OomLatency } from './oom-latency.ts'
import type { Report } from './observe-resources.ts'

// The cost of one sample of one container, with four methods on a real engine with 60 containers. It includes the CPU
// time of the engine and shims minus their idle usage, so no other client should use the engine. Ratios are to the
// first row. Then tidewatch's resources source on a generated tree of 1,000 containers, and the time until an OOM
// kill is reported. CONTAINERS=60 TREE=1000 SECONDS=30 OOM=20 by default.

const count = Number(process.env['CONTAINERS'] ?? 60)
const treeSize = Number(process.env['TREE'] ?? 1_000)
const treeSeconds = Number(process.env['SECONDS'] ?? 30)
const oomRounds = Number(process.env['OOM'] ?? 20)
const prefix = `tidewatch-bench-resources-${process.pid}`
const kernel = { procRoot: '/proc', cgroupRoot: '/sys/fs/cgroup', onNotice: () => undefined }

/** Times in milliseconds; `samples` is their number. */
type Cost = { samples: number; ownCpu: number; engineCpu: number; latencies: number[] }

const names = Array.from({ length: count }, (_, index) => `${prefix}-${index}`)
try {
  const containers = await startContainers()
  const ways: [name: string, measure: () => Promise<Cost>][] = [
    ['descriptors kept open', () => measureReader(containers, { rounds: 300, maxFiles: Infinity })],
    ['readFileSync', () => measureReader(containers, { rounds: 60, maxFiles: 0 })],
    ['stats, one-shot', () => measureOneShot(containers, 5)],
    ['stats, streaming', () => measureStreaming(containers, 10_000)],
  ]
  const idle = await idleEngineCpuPerSecond()
  const costs: [string, Cost][] = []
  for (const [name, measure] of ways) costs.push([name, await withEngine(measure, idle)])
  printWays(costs)
} finally {
  await docker('rm', '-f', ...names)
}
printLatencies(await measureOomLatency(prefix, oomRounds))
printTree(await measureTree())

async function startContainers(): Promise<Container[]> {
  const image = await busyboxImage()
  const limits = ['--memory=64m', '--cpus=0.5', '--pids-limit=50']
  for (const name of names) await docker('run', '-d', '--name', name, ...limits, image, 'sleep', '86400')
  const inspected = await docker('inspect', '-f', '{{.Id}} {{.State.Pid}}', ...names)
  return inspected
    .trim()
    .split('\n')
    .map((line) => line.split(' '))
    .map(([id = '', pid]) => sampleContainer({ id, details: { pid: Number(pid) } }))
}

type ReaderLoad = { rounds: number; maxFiles: number }

/** With `maxFiles: 0`, each file is opened, read and closed, like with `readFileSync`. */
async function measureReader(
  containers: readonly Container[],
  { rounds, maxFiles }: ReaderLoad,
): Promise<Cost> {
  const reader = cgroupReader({ ...kernel, maxFiles })
  const latencies: number[] = []
  for (const container of containers) reader.read(container)
  const before = process.cpuUsage()
  for (let round = 0; round < rounds; round++) {
    for (const container of containers) {
      const startedAt = performance.now()
      const { outcome } = reader.read(container)
      latencies.push(performance.now() - startedAt)
      if (outcome !== 'read') throw new Error(`${container.id} was not read: ${outcome}`)
    }
  }
  const ownCpu = cpuSince(before)
  reader.close()
  return { samples: latencies.length, ownCpu, engineCpu: 0, latencies }
}

/** Requests all containers at once, like a poller that wants to finish its round quickly. */
async function measureOneShot(containers: readonly Container[], rounds: number): Promise<Cost> {
  const latencies: number[] = []
  const before = process.cpuUsage()
  for (let round = 0; round < rounds; round++) {
    await Promise.all(
      containers.map(async ({ id }) => {
        const startedAt = performance.now()
        JSON.parse(await text(await ask(`/containers/${id}/stats?stream=false&one-shot=true`)))
        latencies.push(performance.now() - startedAt)
      }),
    )
  }
  return { samples: latencies.length, ownCpu: cpuSince(before), engineCpu: 0, latencies }
}

/** One stream per container, to which the engine writes once a second; the latency is the age of the data. */
async function measureStreaming(containers: readonly Container[], forMs: number): Promise<Cost> {
  const latencies: number[] = []
  const before = process.cpuUsage()
  const streams = await Promise.all(containers.map(({ id }) => ask(`/containers/${id}/stats?stream=true`)))
  for (const stream of streams) {
    createInterface({ input: stream }).on('line', (line) => {
      const { read } = JSON.parse(line) as { read: string }
      latencies.push(Date.now() - Date.parse(read))
    })
  }
  await new Promise((resolve) => setTimeout(resolve, forMs))
  const cost = { samples: latencies.length, ownCpu: cpuSince(before), engineCpu: 0, latencies }
  for (const stream of streams) stream.destroy()
  return cost
}

async function ask(path: string): Promise<IncomingMessage> {
  const [response] = (await once(
    get({ socketPath: '/var/run/docker.sock', path, agent: false }),
    'response',
  )) as [IncomingMessage]
  if (response.statusCode !== 200) throw new Error(`${path} returned status ${response.statusCode}`)
  return response.on('error', () => undefined)
}

async function text(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

async function withEngine(measure: () => Promise<Cost>, idlePerSecond: number): Promise<Cost> {
  const startedAt = performance.now()
  const before = engineCpuMs()
  const cost = await measure()
  const idle = (idlePerSecond * (performance.now() - startedAt)) / 1_000
  return { ...cost, engineCpu: Math.max(0, engineCpuMs() - before - idle) }
}

async function idleEngineCpuPerSecond(): Promise<number> {
  const seconds = 5
  const before = engineCpuMs()
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000))
  return (engineCpuMs() - before) / seconds
}

function cpuSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000
}

/** CPU time of engine, containerd and shims, in milliseconds; the kernel counts it in steps of 10. */
function engineCpuMs(): number {
  const isEngine = /^(?:dockerd|containerd|containerd-shim)/
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(statOf)
    .filter(({ comm }) => isEngine.test(comm))
    .reduce((sum, { ticks }) => sum + ticks * 10, 0)
}

function statOf(pid: string): { comm: string; ticks: number } {
  try {
    const stat = readFileSync(join('/proc', pid, 'stat'), 'latin1')
    const end = stat.lastIndexOf(')')
    const fields = stat.slice(end + 2).split(' ')
    return { comm: stat.slice(stat.indexOf('(') + 1, end), ticks: Number(fields[11]) + Number(fields[12]) }
  } catch {
    return { comm: '', ticks: 0 } // The process has exited.
  }
}

function printWays(costs: readonly [string, Cost][]): void {
  const perSample = ({ ownCpu, engineCpu, samples }: Cost) => (ownCpu + engineCpu) / samples
  const reference = costs[0] === undefined ? NaN : perSample(costs[0][1])
  const rows = costs.map(([name, cost]) => {
    const latencies = cost.latencies.toSorted((a, b) => a - b)
    return [
      name,
      String(cost.samples),
      perSample(cost).toFixed(3),
      (perSample(cost) / reference).toFixed(1),
      percentile(latencies, 0.5),
      percentile(latencies, 0.99),
    ]
  })
  process.stdout.write(`${count} containers on a real engine\n\n`)
  process.stdout.write(renderTable(['WAY', 'SAMPLES', 'CPU ms', 'RATIO', 'P50 ms', 'P99 ms'], rows))
}

function printLatencies(latencies: readonly OomLatency[]): void {
  const sorted = latencies.map(({ ms }) => ms).toSorted((a, b) => a - b)
  const byKernel = latencies.filter(({ reportedBy }) => reportedBy === 'kernel').length
  process.stdout.write(`\nfrom ${latencies.length} OOM kills to the observation\n\n`)
  const heads = ['TOLD BY THE KERNEL', 'BY THE ENGINE', 'P50 ms', 'P99 ms', 'AIM ms']
  const row = [byKernel, latencies.length - byKernel, percentile(sorted, 0.5), percentile(sorted, 0.99), 100]
  process.stdout.write(renderTable(heads, [row.map(String)]))
}

function percentile(sorted: readonly number[], share: number): string {
  return sorted[Math.floor(sorted.length * share)]?.toFixed(3) ?? '-'
}

async function measureTree(): Promise<Report> {
  // In memory, like the kernel's files.
  const root = mkdtempSync('/dev/shm/tidewatch-bench-')
  try {
    makeTree(root)
    const script = await bundleScript('observe-resources', root)
    const child = spawn(process.execPath, [script, root, String(treeSize), String(treeSeconds)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
    return JSON.parse(line) as Report
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

/** Copies of one container of a host with cgroup version 2, in the layout that `observe-resources.ts` expects. */
function makeTree(root: string): void {
  const fixture = join(import.meta.dirname, '../fixtures/cgroup/v2-systemd')
  const cgroups = join(fixture, 'sys/fs/cgroup')
  const scope = join(cgroups, `machine.slice/tenant.slice/docker-3f1c${'a5'.repeat(30)}.scope`)
  cpSync(join(fixture, 'proc'), join(root, 'proc'), { recursive: true })
  // As many open files as in the real daemon.
  cpSync('/proc/self/limits', join(root, 'proc/self/limits'))
  mkdirSync(join(root, 'sys/fs/cgroup/system.slice'), { recursive: true })
  cpSync(join(cgroups, 'cgroup.controllers'), join(root, 'sys/fs/cgroup/cgroup.controllers'))
  for (let index = 0; index < treeSize; index++) {
    const cgroup = `system.slice/docker-${index.toString(16).padStart(64, '0')}.scope`
    const process = join(root, 'proc', String(index + 100_000))
    cpSync(scope, join(root, 'sys/fs/cgroup', cgroup), { recursive: true })
    mkdirSync(process)
    writeFileSync(join(process, 'cgroup'), `0::/${cgroup}\n`)
  }
}

function printTree({ samples, cpuShare, longestBlockMs, descriptors, rssBytes }: Report): void {
  process.stdout.write(`\n${treeSize} containers in a generated tree, every 5 s for ${treeSeconds} s\n\n`)
  const heads = ['SAMPLES', 'CPU % OF A CORE', 'LONGEST BLOCK ms', 'DESCRIPTORS', 'RSS MiB']
  const row = [
    String(samples),
    (cpuShare * 100).toFixed(2),
    longestBlockMs.toFixed(1),
    String(descriptors),
    (rssBytes / 2 ** 20).toFixed(0),
  ]
  process.stdout.write(renderTable(heads, [row]))
}
