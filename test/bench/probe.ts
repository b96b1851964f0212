// Loaded into a daemon beside its own code: tells what only the process itself knows, whenever it is asked.

/**
 * What a process says of itself. `blockedMs` is the longest the event loop did not turn since it was last asked, and
 * `busyMs` the most processor time it took for one turn, which other programs on the machine do not add to.
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
  const told = { blockedMs, busyMs }
  // Only where it runs with --expose-gc: what is left after it is what is held.
  globalThis.gc?.()
  const { rss, heapUsed } = process.memoryUsage()
  const resources: Record<string, number> = {}
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1
  process.send?.({ rss, heapUsed, ...told, resources } satisfies Inside)
  ;[last, lastCpu, blockedMs, busyMs] = [performance.now(), cpuMs(), 0, 0]
})
process.channel?.unref()

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}
