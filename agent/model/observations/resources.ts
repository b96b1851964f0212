import type { Container } from '../container.ts'

/** One sample of a container's resource usage and limits. Counters start at the container's start. */
export type ResourceSample = {
  kind: 'resources'
  time: number
  container: Container
  memory: {
    /** Usage minus the immediately reclaimable page cache (`inactive_file`). */
    workingSetBytes: number
    /** Null if there is none. */
    limitBytes: number | null
    /** Swap in use; null if the kernel does not count it. */
    swapBytes: number | null
    /** Number of OOM-killed processes; null if the kernel does not count them. */
    oomKills: number | null
  }
  cpu: {
    usageSeconds: number
    /** Null without a quota. */
    quotaCores: number | null
    periods: number
    throttledPeriods: number
    throttledSeconds: number
  }
  pids: {
    current: number
    limit: number | null
    /** Number of forks refused because of a limit; null if the kernel does not report it. */
    refusedForks: number | null
  }
  pressure: { cpu: Stall | null; memory: Stall | null; io: Stall | null }
  /** Sum over all devices; null if the kernel does not count it. */
  blockIo: { readBytes: number; writtenBytes: number } | null
  /**
   * Whether the container's first process is running, or was killed and has not exited yet; read after the counters.
   * Absent if no kill was counted, because then nothing depends on it, and if it could not be read.
   */
  firstProcess?: FirstProcess
}

export type FirstProcess = 'running' | 'ending'

/**
 * How long processes were stalled on a resource: `some` while at least one waited, `full` while all did (PSI,
 * Documentation/accounting/psi.rst). Null in a sample if the kernel does not report it.
 */
export type Stall = { someSeconds: number; fullSeconds: number | null }
