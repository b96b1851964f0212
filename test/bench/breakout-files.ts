import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { renderTable } from '../../agent/cli/table.ts'
import { openSysctlWatch } from '../../agent/sources/breakout-files/sysctl-writes/watch.ts'
import { sysctls } from '../../agent/sources/breakout-files/sysctls.ts'
import { attachCgroupSysctl, programTypes } from '../../agent/linux/bpf.ts'
import { findHierarchy } from '../../agent/ebpf/hierarchy.ts'
import { parseCgroupMounts } from '../../agent/sources/resources/cgroup-mounts.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { docker } from '../support/processes.ts'
import { loadEmptyProgram } from './empty-program.ts'

// The cost of monitoring: for each access to a sysctl by any process of the host, and for the daemon while idle and
// while containers come and go. Needs root. READS=10000 ROUNDS=200 CONTAINERS=30 by default.

const reads = Number(process.env['READS'] ?? 10_000)
const rounds = Number(process.env['ROUNDS'] ?? 200)
const count = Number(process.env['CONTAINERS'] ?? 30)
const { v2 } = parseCgroupMounts(readFileSync('/proc/self/mountinfo', 'utf8'), '/sys/fs/cgroup')
const cgroup2 = v2?.mountPoint ?? ''

const ways: Readonly<Record<string, () => () => void>> = {
  'no program': () => () => {},
  'a program that does nothing': emptyProgram,
  tidewatch: () => {
    const watch = openSysctlWatch({
      cgroup2,
      hierarchy: findHierarchy('/proc'),
      names: sysctls.map(({ name }) => name),
    })
    return () => watch.close()
  },
}
const subjects = {
  'kernel/hostname': '/proc/sys/kernel/hostname',
  'kernel/core_pattern': '/proc/sys/kernel/core_pattern',
  'no sysctl': '/proc/loadavg',
}

const times = new Map<string, number[]>()
for (let round = 0; round < rounds; round += 1) {
  // Interleaved, so that other load of the machine affects all of them.
  for (const [way, open] of Object.entries(ways)) {
    const close = open()
    for (const [subject, path] of Object.entries(subjects)) {
      const key = `${way} ${subject}`
      times.set(key, [...(times.get(key) ?? []), nanosecondsOfRead(path)])
    }
    close()
  }
}
const best = (way: string, subject: string) => Math.min(...(times.get(`${way} ${subject}`) ?? []))
process.stdout.write(
  `${rounds} rounds of ${reads} reads; the fastest round of each, including the overhead of Node\n\n`,
)
process.stdout.write(
  renderTable(
    ['MONITORED BY', 'READ', 'ns', 'ADDED ns', 'RATIO'],
    Object.keys(ways).flatMap((way) =>
      Object.keys(subjects).map((subject) => {
        const [time, bare] = [best(way, subject), best('no program', subject)]
        return [way, subject, time.toFixed(0), (time - bare).toFixed(0), (time / bare).toFixed(2)]
      }),
    ),
  ),
)

const observer = fork(join(import.meta.dirname, 'observe-breakout-files.ts'))
try {
  await once(observer, 'message')
  await sleep(3_000)
  const idle = await during(observer, () => sleep(20_000))
  const image = await busyboxImage()
  const busy = await during(observer, async () => {
    for (let number = 1; number <= count; number += 1) {
      await docker(
        'run',
        '--rm',
        '--name',
        `tidewatch-bench-breakout-${process.pid}-${number}`,
        image,
        'true',
      )
    }
  })
  const ofStart = (busy.cpuMs - (idle.cpuMs / idle.ms) * busy.ms) / count
  process.stdout.write('\n')
  process.stdout.write(
    renderTable(
      ['DAEMON', 'CPU'],
      [
        ['while idle', `${((idle.cpuMs / idle.ms) * 100).toFixed(2)} % of a core`],
        ['for each container that comes and goes', `${ofStart.toFixed(2)} ms`],
        [
          'at 100 of them in a minute',
          `${((ofStart * 100) / 600 + (idle.cpuMs / idle.ms) * 100).toFixed(2)} % of a core`,
        ],
        ['operations reported', String(busy.seen)],
      ],
    ),
  )
} finally {
  observer.kill()
}

async function during(child: ChildProcess, work: () => Promise<unknown>) {
  const [before, startedAt] = [await ask(child), performance.now()]
  await work()
  const after = await ask(child)
  return {
    ms: performance.now() - startedAt,
    cpuMs: (after.cpu - before.cpu) / 1_000,
    seen: after.seen - before.seen,
  }
}

async function ask(child: ChildProcess): Promise<{ cpu: number; seen: number }> {
  const answer = once(child, 'message')
  child.send('cpu')
  return ((await answer) as [{ cpu: number; seen: number }])[0]
}

function nanosecondsOfRead(path: string): number {
  const fd = openSync(path, 'r')
  const buffer = Buffer.alloc(512)
  const startedAt = performance.now()
  for (let done = 0; done < reads; done += 1) readSync(fd, buffer, 0, 512, 0)
  const elapsed = performance.now() - startedAt
  closeSync(fd)
  return (elapsed * 1e6) / reads
}

/** The kernel's overhead for any such program. */
function emptyProgram(): () => void {
  const program = loadEmptyProgram(programTypes.cgroupSysctl, 1)
  const root = openSync(cgroup2, constants.O_RDONLY | constants.O_DIRECTORY)
  const link = attachCgroupSysctl(root, program)
  return () => [link, program, root].forEach((fd) => closeSync(fd))
}
