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

/** The bundle with which packages are made, in a directory of its own. */
export type Bundle = { directory: string; remove: () => Promise<void> }

export async function makeBundle(): Promise<Bundle> {
  const directory = await mkdtemp('/var/tmp/tidewatch-bench-')
  await run(process.execPath, join(root, 'systemd/build.ts'), join(directory, 'dist'))
  // As JavaScript: what makes it out of TypeScript would take 30 MiB in the daemon.
  const source = await readFile(join(import.meta.dirname, 'probe.ts'), 'utf8')
  await writeFile(join(directory, 'probe.mjs'), (await transform(source, { loader: 'ts' })).code)
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) }
}

/** A daemon as it is installed, with a probe in it. */
export type Bundled = {
  pid: number
  url: string
  scrape: () => Promise<Scrape>
  inside: () => Promise<Inside>
  findings: () => Finding[]
  output: () => string
  stop: () => Promise<void>
}

/** What one scrape told. */
export type Scrape = {
  /** The sum over the series of a metric that have all of these labels. */
  sum: (metric: string, labels?: Readonly<Record<string, string>>) => number
  /** How many series there are, of all containers or of those whose names begin so. */
  series: (containers?: string) => number
}

/** Starts it with a new state directory; waits until every source is attached or has said why not. */
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
      // A flood of findings is a flood of lines.
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
      child.send('tell')
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

/** What the highest resident memory of a process was since `forgetPeak`, in MiB. */
export function peakMiB(pid: number): number {
  return statusMiB(pid, 'VmHWM')
}

/** Resident memory of a process now, in MiB. */
export function residentMiB(pid: number): number {
  return statusMiB(pid, 'VmRSS')
}

/** Lets the kernel count the highest resident memory anew (proc_pid_clear_refs(5)). */
export async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5')
}

function statusMiB(pid: number, name: string): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`${name}:\\s+(\\d+)`).exec(text)?.[1]) / 1_024
}
