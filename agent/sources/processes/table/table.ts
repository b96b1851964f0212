import type { BootClock } from '../../../linux/boot-clock.ts'
import { queue } from '../../../lib/queue.ts'
import type { ProcessKey } from '../../../model/process-key.ts'
import type { ExitCode, KnownProcess } from './known-process.ts'

/** The running and recently exited processes of the host: the interface for readers. */
export type ProcessTable = {
  /** The running process with this pid. */
  get(pid: number): KnownProcess | undefined
  /** The process that had the pid at a time (epoch milliseconds): running, or exited within the last seconds. */
  at(pid: number, time: number): KnownProcess | undefined
  /** The latest process with this pid, running or exited within the last seconds: for an event seen just now. */
  latest(pid: number): KnownProcess | undefined
  find(key: ProcessKey): KnownProcess | undefined
  creatorOf(process: KnownProcess): KnownProcess | undefined
  /** Its creator, the creator's creator and so on, as far as exited ones are remembered. */
  ancestors(process: KnownProcess): KnownProcess[]
  living(): Iterable<KnownProcess>
  /** Running and remembered processes. */
  readonly size: number
}

/** The table with write access, which only the process source has. */
export type WritableProcessTable = ProcessTable & {
  /** Returns false when the table is full of running processes. */
  add(process: KnownProcess): boolean
  end(process: KnownProcess, sinceBoot: number, code: ExitCode | null): void
  /** Drops processes that exited long ago. */
  forget(): void
}

export type TableOptions = {
  clock: BootClock
  /** How long an exited process is remembered after its exit was reported, which may be late on a busy host. */
  keepMs?: number
  /** Maximum exited processes: a burst of short programs leaves thousands per second. */
  maxEnded?: number
  /** Maximum of all processes; exited ones are dropped first. */
  max?: number
}

// No legitimate process tree is deeper.
const maxAncestors = 1_000

/** Keyed by pid and start time, so that a reused pid is never mistaken for its former process. */
export function processTable({
  clock,
  keepMs = 5_000,
  maxEnded = 8_192,
  max = 65_536,
}: TableOptions): WritableProcessTable {
  const byPid = new Map<number, KnownProcess>()
  const ended = queue<{ process: KnownProcess; reportedAt: number }>()
  let size = 0

  function add(process: KnownProcess): boolean {
    if (size >= max && !forgetOldest()) return false
    const former = byPid.get(process.pid)
    if (former !== undefined) {
      // Its exit was missed: otherwise the pid would not be free.
      if (former.exit === null) end(former, process.startTicks * 10, null)
      process.older = former
    }
    byPid.set(process.pid, process)
    size++
    return true
  }

  function end(process: KnownProcess, sinceBoot: number, code: ExitCode | null): void {
    if (process.exit !== null) return
    process.exit = { sinceBoot, code }
    ended.push({ process, reportedAt: clock.sinceBoot() })
    if (ended.size > maxEnded) forgetOldest()
  }

  function forget(): void {
    const before = clock.sinceBoot() - keepMs
    for (let oldest = ended.first(); oldest !== undefined; oldest = ended.first()) {
      if (oldest.reportedAt > before) return
      forgetOldest()
    }
  }

  function forgetOldest(): boolean {
    const oldest = ended.shift()
    if (oldest !== undefined) remove(oldest.process)
    return oldest !== undefined
  }

  function remove(process: KnownProcess): void {
    size--
    const newest = byPid.get(process.pid)
    if (newest === process) {
      if (process.older === undefined) byPid.delete(process.pid)
      else byPid.set(process.pid, process.older)
      return
    }
    for (let newer = newest; newer !== undefined; newer = newer.older) {
      if (newer.older === process) newer.older = process.older
    }
  }

  function find({ pid, startTicks }: ProcessKey): KnownProcess | undefined {
    for (let process = byPid.get(pid); process !== undefined; process = process.older) {
      if (process.startTicks === startTicks) return process
    }
    return undefined
  }

  function at(pid: number, time: number): KnownProcess | undefined {
    const sinceBoot = time - clock.epochOffset()
    let process = byPid.get(pid)
    while (process !== undefined && process.startTicks * 10 > sinceBoot) process = process.older
    const wasLiving = process?.exit === null || (process?.exit.sinceBoot ?? 0) >= sinceBoot
    return wasLiving ? process : undefined
  }

  function ancestors(process: KnownProcess): KnownProcess[] {
    const found: KnownProcess[] = []
    let next = creatorOf(process)
    while (next !== undefined && found.length < maxAncestors) {
      found.push(next)
      next = creatorOf(next)
    }
    return found
  }

  function creatorOf({ creatorPid, creatorStartTicks }: KnownProcess): KnownProcess | undefined {
    return find({ pid: creatorPid, startTicks: creatorStartTicks })
  }

  function get(pid: number): KnownProcess | undefined {
    const process = byPid.get(pid)
    return process?.exit === null ? process : undefined
  }

  function* living(): Iterable<KnownProcess> {
    for (const process of byPid.values()) if (process.exit === null) yield process
  }

  return {
    get,
    at,
    latest: (pid) => byPid.get(pid),
    find,
    creatorOf,
    ancestors,
    living,
    get size() {
      return size
    },
    add,
    end,
    forget,
  }
}
