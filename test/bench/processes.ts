import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { renderTable } from '../../agent/cli/table.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { docker } from '../support/processes.ts'
import { bundleScript } from './bundled-script.ts'

// How many short-lived programs of a container each monitoring method sees with all fields correct, and at what cost.
// bpftrace (Debian's) serves as a well-known reference; the container comes from /proc, as in a typical script. Each
// method monitors the same load twice. The first run, while V8 still compiles hot functions, has its own column; all
// other columns are of the second run, as in a daemon that runs for days. Prints a table; ratios are to the first
// row. EXECS=20000 ROUNDS=3 by default.

const execs = Number(process.env['EXECS'] ?? 20_000)
const rounds = Number(process.env['ROUNDS'] ?? 3)
const loops = 8
const user = 1_234
const container = `tidewatch-bench-processes-${process.pid}`

type Scripts = { tidewatch: string; bpftrace: string }
type Report = { right: number; seen: number; lost: number; latencies: number[] }

const observers = ['ebpf', 'connector', 'procfs', 'bpftrace'] as const
type ObserverName = (typeof observers)[number]

type Measurement = Report & { firstCpuMs: number; cpuMs: number; loadMs: number; rssBytes: number }

const directory = mkdtempSync('/var/tmp/tidewatch-bench-')

await docker('run', '-d', '--name', container, '--network=none', await busyboxImage(), 'sleep', '86400')
try {
  const scripts = {
    tidewatch: await bundleScript('observe-processes', directory),
    bpftrace: join(import.meta.dirname, 'observe-bpftrace.ts'),
  }
  const id = (await docker('inspect', '--format', '{{.Id}}', container)).trim()
  await runLoad('warm-up', 800)
  const bare: number[] = []
  const measured = new Map<ObserverName, Measurement[]>(observers.map((name) => [name, []]))
  // Interleaved, so that other load of the machine affects all of them.
  for (let round = 0; round < rounds; round += 1) {
    bare.push(await runLoad(`bare-${round}`, execs))
    for (const name of observers)
      measured.get(name)?.push(await measure(name, scripts, id, `${name}-${round}`))
  }
  print(bare, measured)
} finally {
  await docker('rm', '-f', container)
  rmSync(directory, { recursive: true })
}

/** Runs the programs in bursts of 8 loops; resolves to the duration in milliseconds. */
async function runLoad(nonce: string, count: number): Promise<number> {
  const each = Math.ceil(count / loops)
  const loop = `(i=0; while [ $i -lt ${each} ]; do /bin/true ${nonce} $j-$i; i=$((i+1)); done) &`
  const startedAt = performance.now()
  await docker(
    'exec',
    '--user',
    String(user),
    container,
    'sh',
    '-c',
    `for j in $(seq ${loops}); do ${loop} done; wait`,
  )
  return performance.now() - startedAt
}

async function measure(
  name: ObserverName,
  scripts: Scripts,
  id: string,
  nonce: string,
): Promise<Measurement> {
  const observer = startObserver(name, scripts, id, nonce)
  const costOf = async (word: string) => {
    const before = cpuMs(observer.process)
    const loadMs = await runLoad(word, execs)
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    return { loadMs, cpuMs: cpuMs(observer.process) - before }
  }
  try {
    await observer.ready
    const first = await costOf(`first-${nonce}`)
    const second = await costOf(nonce)
    const rssBytes = rss(observer.process)
    return { ...(await observer.report()), ...second, firstCpuMs: first.cpuMs, rssBytes }
  } finally {
    observer.process.kill('SIGKILL')
  }
}

function startObserver(name: ObserverName, scripts: Scripts, id: string, nonce: string) {
  // With the same flag as the installed daemon.
  const script = name === 'bpftrace' ? [scripts.bpftrace] : ['--optimize-for-size', scripts.tidewatch]
  const child = spawn(process.execPath, [...script, name, id, nonce, String(user)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })
  const nextLine = async () => String((await once(lines, 'line'))[0])
  return {
    process: child,
    ready: nextLine(),
    report: async (): Promise<Report> => {
      const answer = nextLine()
      child.stdin.write('report\n')
      return JSON.parse(await answer) as Report
    },
  }
}

/** CPU time of a process and of its living children, in milliseconds. */
function cpuMs({ pid = 0 }: Pick<ChildProcess, 'pid'>): number {
  const family = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ name, stat: statOf(name) }))
    .filter(({ name, stat }) => name === String(pid) || stat[1] === String(pid))
  return sum(family.map(({ stat }) => (Number(stat[11]) + Number(stat[12])) * 10))
}

function rss({ pid = 0 }: Pick<ChildProcess, 'pid'>): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1_024
}

/** Fields of /proc/PID/stat from the third on; the second may contain any characters, including parentheses. */
function statOf(pid: string): string[] {
  let text = ''
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    // The process has exited.
  }
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

function print(bare: readonly number[], measured: ReadonlyMap<ObserverName, readonly Measurement[]>): void {
  const total = execs * rounds
  const cpuOf = (all: readonly Measurement[]) => perThousand(all.map(({ cpuMs: ms }) => ms))
  const reference = cpuOf(measured.get('ebpf') ?? [])
  const rows = [...measured].map(([name, all]) => {
    const latencies = all.flatMap((one) => one.latencies).toSorted((a, b) => a - b)
    const cpu = cpuOf(all)
    return [
      name,
      `${((sum(all.map(({ right }) => right)) / total) * 100).toFixed(2)} %`,
      String(sum(all.map(({ lost }) => lost))),
      perThousand(all.map(({ firstCpuMs }) => firstCpuMs)).toFixed(1),
      cpu.toFixed(1),
      (cpu / reference).toFixed(1),
      (median(all.map(({ loadMs }) => loadMs)) / median(bare)).toFixed(3),
      percentile(latencies, 0.5),
      percentile(latencies, 0.99),
      (Math.max(...all.map(({ rssBytes }) => rssBytes)) / 2 ** 20).toFixed(0),
    ]
  })
  const heads = [
    'WAY',
    'ALL RIGHT',
    'LOST',
    'FIRST CPU ms/1000',
    'CPU ms/1000',
    'RATIO',
    'SLOW-DOWN',
    'P50 ms',
    'P99 ms',
    'RSS MiB',
  ]
  process.stdout.write(`${rounds} rounds of ${execs} execs in one container, in bursts of ${loops} loops\n\n`)
  process.stdout.write(renderTable(heads, rows))
}

function perThousand(cpu: readonly number[]): number {
  return (sum(cpu) / (execs * rounds)) * 1_000
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? NaN
}

function percentile(sorted: readonly number[], share: number): string {
  return sorted[Math.floor(sorted.length * share)]?.toFixed(1) ?? '-'
}
