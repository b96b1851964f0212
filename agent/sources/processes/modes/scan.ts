import { setImmediate as nextTurn } from 'node:timers/promises'
import type { BootClock } from '../../../linux/boot-clock.ts'
import type { KnownProcess } from '../table/known-process.ts'
import { type ProcStat, readNamespaces, readPids, readProcess, readStat } from '../table/procfs-process.ts'
import type { WritableProcessTable } from '../table/table.ts'
import type { ProcessTracker } from '../tracker.ts'

export type ScanOptions = {
  procRoot: string
  table: WritableProcessTable
  tracker: ProcessTracker
  clock: BootClock
  signal: AbortSignal
  /** Called before each slice to apply pending kernel events, which are older than the next reads of /proc. */
  beforeSlice?: () => void
}

/** Synchronises the table with /proc: at start, after a loss, and periodically in the mode `procfs`. */
export async function scanProcesses(options: ScanOptions): Promise<void> {
  const { procRoot, table, clock, signal, beforeSlice } = options
  const listedAt = clock.sinceBoot()
  const pids = new Set(readPids(procRoot))
  let sliceEnds = 0

  async function pause(): Promise<void> {
    await nextTurn()
    if (signal.aborted) return
    beforeSlice?.()
    sliceEnds = clock.sinceBoot() + sliceMs
  }

  // Oldest first: a process that entered a container's namespaces is younger than the container's init, which must be
  // known by then. The listing is not in that order: pids wrap, and Node sorts names as text. On a tie, parents stay
  // first.
  const listed: [number, ProcStat][] = []
  for (const found of parentsFirst(procRoot, pids)) {
    if (clock.sinceBoot() >= sliceEnds) await pause()
    if (signal.aborted) return
    listed.push(found)
  }
  for (const [pid, stat] of listed.toSorted(([, a], [, b]) => a.startTicks - b.startTicks)) {
    if (clock.sinceBoot() >= sliceEnds) await pause()
    if (signal.aborted) return
    scanProcess(pid, stat, options)
  }
  for (const process of table.living()) {
    // A process that started around the time of the listing may be missing from it.
    const wasListed = process.startTicks * 10 < listedAt - 20
    if (wasListed && !pids.has(process.pid))
      options.tracker.exited(process.pid, process.startTicks, listedAt, null)
  }
}

// The event loop is shared with everything else the daemon does.
const sliceMs = 5

/** Children may inherit their container from their parents. Not recursive: processes can be nested arbitrarily deep. */
function* parentsFirst(procRoot: string, pids: ReadonlySet<number>): Iterable<[number, ProcStat]> {
  const visited = new Set<number>()
  for (const pid of pids) {
    const lineage: [number, ProcStat][] = []
    for (let next = pid; pids.has(next) && !visited.has(next);) {
      visited.add(next)
      const stat = readStat(procRoot, next)
      if (stat === null) break
      lineage.push([next, stat])
      next = stat.parentPid
    }
    yield* lineage.toReversed()
  }
}

function scanProcess(pid: number, { startTicks, comm, ended }: ProcStat, options: ScanOptions): void {
  const { procRoot, table, tracker, clock } = options
  const known = table.find({ pid, startTicks })
  if (ended || (known !== undefined && isUnchangedHostProcess(known, comm, procRoot))) return
  const seen = readProcess(procRoot, pid)
  if (seen !== null) tracker.found(seen, clock.sinceBoot())
}

/** True for most processes of a host; reading them would be the most expensive part of a scan, for no information. */
function isUnchangedHostProcess(known: KnownProcess, comm: string, procRoot: string): boolean {
  if (known.membership !== null || known.program().comm !== comm) return false
  return readNamespaces(`${procRoot}/${known.pid}`).mount === known.namespaces.mount
}
