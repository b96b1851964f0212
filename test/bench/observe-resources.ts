import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Container } from '../../agent/model/container.ts'
import { resources } from '../../agent/sources/resources/resources.ts'
import { sampleContainer } from '../support/samples.ts'

// The resource source alone in a process of its own, over a tree that was made for it: `root containers seconds`.

export type Report = {
  samples: number
  /** Of one core, after the first round. */
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
  // The first round opens everything; then what it costs, and then, for measuring costs too, two rounds more.
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
 * For how long the loop was not free, by its thread's CPU time between two turns of a timer: by the clock, whatever
 * else the machine does would count as a block.
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

/** Container number N has the id N, and its first process the pid 100,000 + N. */
function containersOfTree(): Container[] {
  return Array.from({ length: Number(size) }, (_, index) => {
    const id = index.toString(16).padStart(64, '0')
    return sampleContainer({ id, name: `web-${index}`, details: { pid: index + 100_000 } })
  })
}
