import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Container } from '../../agent/model/container.ts'
import { resources } from '../../agent/sources/resources/resources.ts'
import { sampleContainer } from '../support/samples.ts'

// Runs only the resources source in a separate process, on a generated cgroup tree: `root containers seconds`.

export type Report = {
  samples: number
  /** Share of one core, after the first round. */
  cpuShare: number
  longestBlockMs: number
  descriptors: number
  rssBytes: number
}

const [, , root = '', size = '', seconds = ''] = process.argv
const intervalMs = 5_000
process.stdout.write(`${JSON.stringify(await observeTree())}\n`)

async function observeTree(): Promise<Report> {
  const containers = containersOfTree()
  const samples = { count: 0 }
  const subscription = resources({
    procRoot: join(root, 'proc'),
    cgroupRoot: join(root, 'sys/fs/cgroup'),
    containers: { get: () => undefined, all: () => containers, running: () => containers },
    intervalMs,
    now: Date.now,
  })
    .observe()
    .subscribe((seen) => {
      if (seen.kind === 'resources') samples.count++
      else if (seen.kind === 'source-status' && !seen.best) process.stderr.write(`${seen.reason}\n`)
    })
  // The first round opens all files. Then come the measured rounds, and two more to measure blocking, which costs CPU
  // time.
  const blocksOfFirst = await longestBlockIn(intervalMs / 2)
  const before = { cpu: process.cpuUsage(), time: performance.now(), samples: samples.count }
  await sleep(Number(seconds) * 1_000)
  const { user, system } = process.cpuUsage(before.cpu)
  const cost = {
    samples: samples.count - before.samples,
    cpuShare: (user + system) / 1_000 / (performance.now() - before.time),
    descriptors: readdirSync('/proc/self/fd').length,
    rssBytes: process.memoryUsage.rss(),
  }
  const longestBlockMs = Math.max(blocksOfFirst, await longestBlockIn(intervalMs * 2))
  subscription.unsubscribe()
  return { ...cost, longestBlockMs }
}

/**
 * How long the event loop was blocked, measured as its thread's CPU time between two ticks of a timer. Wall-clock time
 * would include other load of the machine.
 */
async function longestBlockIn(forMs: number): Promise<number> {
  let longest = 0
  let before = threadCpuMs()
  const timer = setInterval(() => {
    const now = threadCpuMs()
    longest = Math.max(longest, now - before)
    before = now
  }, 5)
  await sleep(forMs)
  clearInterval(timer)
  return longest
}

function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

/** Container number N has the ID N, and its first process the PID 100,000 + N. */
function containersOfTree(): Container[] {
  return Array.from({ length: Number(size) }, (_, index) => {
    const id = index.toString(16).padStart(64, '0')
    return sampleContainer({ id, name: `web-${index}`, details: { pid: index + 100_000 } })
  })
}
