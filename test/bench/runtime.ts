import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { renderTable } from '../../agent/cli/table.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { removeState, startDaemon } from '../support/daemon.ts'
import { docker, run } from '../support/processes.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// How soon a write to the runtime becomes a finding, and whether the finding names the writer; the cost of monitoring
// while containers start; how long the loop is blocked while all files are hashed. The writes come from a container,
// each by a program that exits immediately. inotify and checking digests every second serve as well-known references.
// WRITES=500 STARTS=100 SECONDS=60 by default.

const writes = Number(process.env['WRITES'] ?? 500)
const starts = Number(process.env['STARTS'] ?? 100)
const seconds = Number(process.env['SECONDS'] ?? 60)
const container = `tidewatch-bench-runtime-${process.pid}`
// As many as can be checked every minute without being a significant load.
const files = 50

const directory = await temporaryDirectory()
await chmod(directory, 0o755)
const decoys = Array.from({ length: files }, (_, index) => join(directory, 'runtime', `decoy-${index}`))
await mkdir(join(directory, 'runtime'))
await mkdir(join(directory, 'tools'))
for (const decoy of decoys) await writeFile(decoy, 'the runtime', { mode: 0o755 })
await buildWriter(join(directory, 'tools/writer'))
const mounts = ['-v', `${join(directory, 'runtime')}:/mnt`, '-v', `${join(directory, 'tools')}:/tools:ro`]
await docker(
  'run',
  '-d',
  '--name',
  container,
  '--network=none',
  ...mounts,
  await busyboxImage(),
  'sleep',
  '86400',
)
try {
  const rows = [await measureDaemon(), await measureObserver('inotify'), await measureObserver('polling')]
  process.stdout.write(`${writes} writes of a container, each by a program that exits immediately\n\n`)
  process.stdout.write(renderTable(['WAY', 'SEEN', 'WRITER NAMED', 'P50 ms', 'P99 ms', 'MAX ms'], rows))
  await measureSource()
} finally {
  await docker('rm', '-f', container)
  await rm(directory, { recursive: true, force: true })
}

type Write = { path: string; pid: number; at: number }

/** Writes to one decoy after the other; resolves to the process and time (epoch milliseconds) of each write. */
async function write(): Promise<Write[]> {
  const script = `i=0; while [ $i -lt ${writes} ]; do /tools/writer /mnt/decoy-$((i % ${files})); usleep 40000; i=$((i+1)); done`
  const output = await docker('exec', container, 'sh', '-c', script)
  return output
    .trim()
    .split('\n')
    .map((line) => {
      const [path = '', pid = '', at = ''] = line.split(' ')
      return {
        path: path.replace('/mnt', join(directory, 'runtime')),
        pid: Number(pid),
        at: Number(at) / 1e6,
      }
    })
}

async function measureDaemon(): Promise<string[]> {
  const daemon = await startDaemon({ config: { sources: { runtime_files: { paths: decoys } } } })
  try {
    await sleep(5_000)
    const written = await write()
    await sleep(3_000)
    const found = daemon.findings({ detector: 'runtime-path-write' }).filter(({ kind }) => kind === 'event')
    const latencies: number[] = []
    let named = 0
    for (const { path, at } of written) {
      // A finding has the time of the kernel's event, which is never before the write.
      const finding = found.find(
        ({ evidence, detected_at }) => evidence['path'] === path && Date.parse(detected_at) >= Math.floor(at),
      )
      if (finding === undefined) continue
      found.splice(found.indexOf(finding), 1)
      latencies.push(Date.parse(finding.detected_at) - at)
      const writer = finding.evidence['writer'] as { argv?: string[]; exe?: string } | undefined
      const isRight =
        writer?.exe === '/tools/writer' && path.endsWith(writer.argv?.[1]?.replace('/mnt', '') ?? '-')
      if (isRight && finding.container?.name === container) named += 1
    }
    return row('tidewatch', latencies, named)
  } finally {
    await daemon.stop()
    await removeState(daemon)
  }
}

async function measureObserver(way: 'inotify' | 'polling'): Promise<string[]> {
  const observer = observe(way, ...decoys)
  try {
    await observer.ready
    const seen: { path: string; at: number }[] = []
    observer.lines.on('line', (line: string) => {
      const [path = '', at = ''] = line.split(' ')
      seen.push({ path, at: Number(at) })
    })
    const written = await write()
    await sleep(1_500)
    const latencies = written.flatMap(({ path, at }, index) => {
      const next = written.slice(index + 1).find((other) => other.path === path)?.at ?? Infinity
      const first = seen.find((one) => one.path === path && one.at >= at && one.at < next)
      return first === undefined ? [] : [first.at - at]
    })
    return row(way === 'polling' ? 'SHA-256 every second' : way, latencies, 0)
  } finally {
    observer.process.kill('SIGKILL')
  }
}

/** The cost of the source alone, with the host's runtime files. */
async function measureSource(): Promise<void> {
  const observer = observe('source', '60000')
  try {
    await observer.ready
    await sleep(10_000)
    const before = await observer.report('cpu')
    const end = performance.now() + seconds * 1_000
    let started = 0
    while (performance.now() < end) {
      const due = (started / starts) * 60_000 - (performance.now() - (end - seconds * 1_000))
      if (due > 0) await sleep(Math.min(due, Math.max(0, end - performance.now())))
      if (performance.now() >= end) break
      await docker('run', '--rm', '--network=none', await busyboxImage(), 'true')
      started += 1
    }
    const { cpuMs } = await observer.report('cpu')
    const share = ((cpuMs - before.cpuMs) / (seconds * 1_000)) * 100
    process.stdout.write(
      `\n${started} containers started in ${seconds} s: ${share.toFixed(2)} % of a core for this source, its process included\n`,
    )
  } finally {
    observer.process.kill('SIGKILL')
  }
  // One process hashes while another only runs an idle loop, to measure the delays caused by the machine.
  const [hashing, idle] = [observe('source', '5000', '0'), observe('inotify')]
  try {
    await Promise.all([hashing.ready, idle.ready])
    await sleep(15_000)
    const blocks: string[][] = []
    for (const [what, one] of [
      ['hashing all runtime files', hashing],
      ['idle', idle],
    ] as const) {
      await one.report('delay')
      await sleep(30_000)
      const { blockMs, p99Ms } = await one.report('cpu')
      blocks.push([what, p99Ms.toFixed(1), blockMs.toFixed(1)])
    }
    process.stdout.write(`\nHow long the loop was blocked in 30 s\n\n`)
    process.stdout.write(renderTable(['LOOP', 'P99 ms', 'MAX ms'], blocks))
  } finally {
    hashing.process.kill('SIGKILL')
    idle.process.kill('SIGKILL')
  }
}

function observe(...args: string[]) {
  const script = join(import.meta.dirname, 'observe-runtime.ts')
  const child = spawn(process.execPath, [script, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })
  const nextLine = async () => String((await once(lines, 'line'))[0])
  return {
    process: child,
    lines,
    ready: nextLine(),
    /** Its resource usage since the start and, if requested before, how long its loop was blocked since then. */
    async report(next: 'cpu' | 'delay') {
      const answer = nextLine()
      child.stdin.write(`${next}\n`)
      return JSON.parse(await answer) as { cpuMs: number; blockMs: number; p99Ms: number }
    },
  }
}

function row(way: string, latencies: readonly number[], named: number): string[] {
  const sorted = latencies.toSorted((a, b) => a - b)
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]?.toFixed(1) ?? '-'
  const share = (count: number) => `${((count / writes) * 100).toFixed(1)} %`
  return [way, share(latencies.length), share(named), at(0.5), at(0.99), at(1)]
}

async function buildWriter(path: string): Promise<void> {
  await writeFile(
    `${path}.c`,
    `#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char **argv) {
  struct timespec now;
  char bytes[16];
  snprintf(bytes, sizeof bytes, "%08d", getpid());
  int fd = open(argv[1], O_WRONLY);
  clock_gettime(CLOCK_REALTIME, &now);
  if (fd < 0 || write(fd, bytes, 8) != 8) return 1;
  close(fd);
  printf("%s %d %lld%09ld\\n", argv[1], getpid(), (long long)now.tv_sec, now.tv_nsec);
  return 0;
}
`,
  )
  await run('gcc', '-O1', '-static', '-o', path, `${path}.c`)
}
