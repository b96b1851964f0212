import type { Container } from '../container.ts'

/** What a container used at one moment, against what it may use. Counters count from the container's start. */
export type ResourceSample = {
  kind: 'resources'
  time: number
  container: Container
  memory: {
    /** Usage less the page cache that can go at once (`inactive_file`). */
    workingSetBytes: number
    /** Null when there is none. */
    limitBytes: number | null
    /** In use; null where the kernel does not count it. */
    swapBytes: number | null
    /** Processes that were OOM-killed; null where the kernel does not count them. */
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
    /** Forks refused because of a limit; null where the kernel does not tell. */
    refusedForks: number | null
  }
  pressure: { cpu: Stall | null; memory: Stall | null; io: Stall | null }
  /** Over all devices; null where the kernel does not count it. */
  blockIo: { readBytes: number; writtenBytes: number } | null
  /**
   * Whether the container's first process still runs or was killed and has yet to end, read after the counters. Absent
   * where no kill was counted, so that nothing depends on it, and where it could not be read.
   */
  firstProcess?: FirstProcess
}

export type FirstProcess = 'running' | 'ending'

/**
 * For how long processes had to wait for a resource: `some` while at least one waited, `full` while all did
 * (PSI, Documentation/accounting/psi.rst). Null in a sample where the kernel does not tell.
 */
export type Stall = { someSeconds: number; fullSeconds: number | null }
