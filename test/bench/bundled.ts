import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { transform } from 'esbuild'
import type { Finding } from '../../agent/model/finding.ts'
import { readFindings } from '../../agent/store/read.ts'
import { run } from '../support/processes.ts'
import { until } from '../support/until.ts'
import type { Inside } from './probe.ts'

const root = join(import.meta.dirname, '../..')

/** The bundle as used in packages, in its own directory. */
export type Bundle = { directory: string; remove: () => Promise<void> }

export async function makeBundle(): Promise<Bundle> {
  const directory = await mkdtemp('/var/tmp/tidewatch-bench-')
  await run(process.execPath, join(root, 'systemd/build.ts'), join(directory, 'dist'))
  // As JavaScript: the TypeScript compiler would take 30 MiB in the daemon.
  const source = await readFile(join(import.meta.dirname, 'probe.ts'), 'utf8')
  await writeFile(join(directory, 'probe.mjs'), (await transform(source, { loader: 'ts' })).code)
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) }
}

/** A daemon as installed, with a probe. */
export type Bundled = {
  pid: number
  url: string
  scrape: () => Promise<Scrape>
  inside: () => Promise<Inside>
  findings: () => Finding[]
  output: () => string
  stop: () => Promise<void>
}

/** The result of one scrape. */
export type Scrape = {
  /** The sum over the series of a metric with all of these labels. */
  sum: (metric: string, labels?: Readonly<Record<string, string>>) => number
  /** The number of series, of all containers or of those with a name prefix. */
  series: (containers?: string) => number
}

/** Starts the daemon with a new state directory; waits until every source is attached or has reported why not. */
export async function startBundled(
  { directory }: Bundle,
  {
    host,
    nodeFlags = [],
    config = {},
  }: { host?: string; nodeFlags?: readonly string[]; config?: object } = {},
): Promise<Bundled> {
  const state = await mkdtemp(join(directory, 'state-'))
  await writeFile(`${state}.yml`, JSON.stringify(config))
  const child = spawn(
    process.execPath,
    [
      ...['--optimize-for-size', '--import', join(directory, 'probe.mjs'), ...nodeFlags],
      ...[join(directory, 'dist/tidewatch.js'), 'run', '--log.format=json', `--state.directory=${state}`],
      ...[`--config.file=${state}.yml`, '--web.listen-address=127.0.0.1:0'],
      ...(host === undefined ? [] : [`--docker.host=${host}`]),
    ],
    { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] },
  )
  let head = ''
  let tail = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      // A flood of findings would be a flood of log lines.
      if (head.length < maxHead) head += chunk.toString()
      else tail = (tail + chunk.toString()).slice(-maxHead)
    })
  const ended = once(child, 'close')
  const url = await until(() => /"url":"(http:[^"]+)"/.exec(head)?.[1], startMs)
  await until(async () => (await fetch(`${url}/-/ready`)).ok, startMs)
  return {
    pid: child.pid ?? 0,
    url,
    async scrape() {
      const lines = (await (await fetch(`${url}/metrics`)).text())
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'))
      return {
        sum: (metric, labels = {}) => sumOf(lines, metric, labels),
        series: (containers = '') =>
          lines.filter((line) => {
            const container = /[{,]container="([^"]*)"/.exec(line)?.[1] ?? ''
            return container === '' || container.startsWith(containers)
          }).length,
      }
    },
    async inside() {
      const answer = once(child, 'message')
      child.send('report')
      return (await answer)[0] as Inside
    },
    findings: () => readFindings(state, { since: 0 }),
    output: () => head + tail,
    async stop() {
      child.kill('SIGTERM')
      await ended
      await rm(state, { recursive: true, force: true })
      await rm(`${state}.yml`, { force: true })
    },
  }
}

const maxHead = 1_000_000
const startMs = 60_000

function sumOf(lines: readonly string[], metric: string, labels: Readonly<Record<string, string>>): number {
  const wanted = Object.entries(labels).map(([name, value]) => `${name}="${value}"`)
  return lines
    .filter((line) => line.startsWith(`${metric}{`) || line.startsWith(`${metric} `))
    .filter((line) => wanted.every((label) => line.includes(label)))
    .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}

/** The peak resident memory of a process since `forgetPeak`, in MiB. */
export function peakMiB(pid: number): number {
  return statusMiB(pid, 'VmHWM')
}

/** The current resident memory of a process, in MiB. */
export function residentMiB(pid: number): number {
  return statusMiB(pid, 'VmRSS')
}

/** Resets the kernel's peak value of resident memory (proc_pid_clear_refs(5)). */
export async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5')
}

function statusMiB(pid: number, name: string): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`${name}:\\s+(\\d+)`).exec(text)?.[1]) / 1_024
}
