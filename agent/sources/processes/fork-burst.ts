/** Detects a sudden growth of a container's process count, as in a fork bomb. */
export type ForkBurstDetector = {
  /** A process was forked in the container. */
  forked(containerId: string): void
  /** A process of the container exited. */
  exited(containerId: string): void
  /** Drops containers that have been idle for a while; call once per second. */
  forget(): void
  close(): void
}

// More than any ordinary program forks at startup, and half of the smallest process limit in practical use.
const step = 10
// Batches reports: a fork bomb forks thousands of times per second and is reported at most a hundred times.
const batchMs = 10
const forgetAfterSeconds = 10
// Bounds the memory when containers are started in a loop.
const maxContainers = 4_096

/**
 * Calls back when a container has `step` processes more than at its minimum, and again after each further `step`.
 * The count is only a hint: it includes no threads and misses lost events.
 */
export function forkBurstDetector(onForkBurst: (containerId: string) => void): ForkBurstDetector {
  const counts = new Map<string, Growth>()
  const grown = new Set<string>()
  let timer: NodeJS.Timeout | undefined

  function report(): void {
    timer = undefined
    const ids = [...grown]
    grown.clear()
    for (const id of ids) onForkBurst(id)
  }

  return {
    forked(id) {
      const count = counts.get(id) ?? { added: 0, idleSeconds: 0 }
      if (counts.size < maxContainers) counts.set(id, count)
      count.idleSeconds = 0
      count.added++
      if (count.added < step) return
      count.added = 0
      grown.add(id)
      timer ??= setTimeout(report, batchMs)
    },
    exited(id) {
      const count = counts.get(id)
      if (count !== undefined && count.added > 0) count.added--
    },
    forget() {
      for (const [id, count] of counts) {
        count.idleSeconds++
        if (count.idleSeconds > forgetAfterSeconds) counts.delete(id)
      }
    },
    close: () => clearTimeout(timer),
  }
}

/** Growth above the minimum since the last report. */
type Growth = { added: number; idleSeconds: number }
