// Preloaded into a daemon: reports values that only the process itself knows, on request.

/**
 * A process's report about itself. `blockedMs` is the longest block of the event loop since the last report, and
 * `busyMs` the maximum CPU time of one turn, which is independent of other load.
 */
export type Inside = {
  rss: number
  heapUsed: number
  blockedMs: number
  busyMs: number
  resources: Record<string, number>
}

const everyMs = 10
let [last, lastCpu, blockedMs, busyMs] = [performance.now(), cpuMs(), 0, 0]

setInterval(() => {
  const [now, cpu] = [performance.now(), cpuMs()]
  blockedMs = Math.max(blockedMs, now - last - everyMs)
  busyMs = Math.max(busyMs, cpu - lastCpu)
  last = now
  lastCpu = cpu
}, everyMs).unref()

process.on('message', () => {
  const durations = { blockedMs, busyMs }
  // Only with --expose-gc: the heap after a collection is the retained memory.
  globalThis.gc?.()
  const { rss, heapUsed } = process.memoryUsage()
  const resources: Record<string, number> = {}
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1
  process.send?.({ rss, heapUsed, ...durations, resources } satisfies Inside)
  ;[last, lastCpu, blockedMs, busyMs] = [performance.now(), cpuMs(), 0, 0]
})
process.channel?.unref()

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}
