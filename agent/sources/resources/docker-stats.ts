import { z } from 'zod'
import type { Limits } from '../../model/container.ts'
import { noPressure } from './pressure.ts'
import { finiteLimit, type Usage } from './usage.ts'

const count = z.number().nonnegative()

// Only the fields that are used; a controller that the host lacks leaves its section empty.
const answer = z.object({
  read: z.string(),
  memory_stats: z
    .object({ usage: count, limit: count, stats: z.record(z.string(), z.number()) })
    .partial()
    .default({}),
  cpu_stats: z.object({
    cpu_usage: z.object({ total_usage: count }),
    throttling_data: z
      .object({ periods: count, throttled_periods: count, throttled_time: count })
      .partial()
      .default({}),
  }),
  pids_stats: z.object({ current: count, limit: count }).partial().default({}),
  blkio_stats: z
    .object({ io_service_bytes_recursive: z.array(z.object({ op: z.string(), value: count })).nullable() })
    .partial()
    .default({}),
})

/**
 * Reads the answer of `GET /containers/{id}/stats` when the cgroup files are not available. Null for a container that
 * is not running, for which the engine answers with zeros and the year 1. Limits that the engine does not report, or
 * reports as the host's total, are taken from the container's configuration.
 */
export function usageOfStats(body: unknown, configured: Limits | undefined): Usage | null {
  const parsed = answer.safeParse(body)
  if (!parsed.success)
    throw new Error(`the engine's statistics are malformed: ${z.prettifyError(parsed.error)}`)
  const { read, memory_stats: memory, cpu_stats: cpu, pids_stats: pids } = parsed.data
  if (read.startsWith('0001-')) return null
  const throttling = cpu.throttling_data
  return {
    memory: {
      workingSetBytes: Math.max(0, (memory.usage ?? 0) - evictable(memory.stats)),
      limitBytes: memoryLimit(memory, configured),
      swapBytes: memory.stats?.['total_swap'] ?? null,
      oomKills: null,
    },
    cpu: {
      usageSeconds: cpu.cpu_usage.total_usage / 1e9,
      quotaCores: configured?.cpus ?? null,
      periods: throttling.periods ?? 0,
      throttledPeriods: throttling.throttled_periods ?? 0,
      throttledSeconds: (throttling.throttled_time ?? 0) / 1e9,
    },
    pids: {
      current: pids.current ?? 0,
      limit: pids.limit ? finiteLimit(pids.limit) : null,
      refusedForks: null,
    },
    pressure: noPressure,
    blockIo: blockIo(parsed.data.blkio_stats),
  }
}

type MemoryStats = z.output<typeof answer>['memory_stats']

function evictable(stats: MemoryStats['stats']): number {
  return stats?.['total_inactive_file'] ?? stats?.['inactive_file'] ?? 0
}

/** The engine writes `Read` with version 1, `read` with version 2, and null when there is no block IO. */
function blockIo({
  io_service_bytes_recursive: moved,
}: z.output<typeof answer>['blkio_stats']): Usage['blockIo'] {
  if (!moved) return null
  const sumOf = (wanted: string) =>
    moved.reduce((sum, { op, value }) => (op.toLowerCase() === wanted ? sum + value : sum), 0)
  return { readBytes: sumOf('read'), writtenBytes: sumOf('write') }
}

function memoryLimit({ limit, stats }: MemoryStats, configured: Limits | undefined): number | null {
  const effective = stats?.['hierarchical_memory_limit']
  if (effective !== undefined) return finiteLimit(effective)
  return configured?.memoryBytes == null ? null : Math.min(limit ?? Infinity, configured.memoryBytes)
}
