import type { BootClock } from '../../../linux/boot-clock.ts'
import { fifo } from '../../../lib/fifo.ts'
import type { ProcessKey } from '../../../model/process-key.ts'
import type { ExitCode, KnownProcess } from './known-process.ts'

/** Who runs on the host now, and who did a moment ago: what others may ask. */
export type ProcessTable = {
  /** The living process with this pid. */
  get(pid: number): KnownProcess | undefined
  /** Who had the pid at a moment (epoch milliseconds): living, or ended within the last seconds. */
  at(pid: number, time: number): KnownProcess | undefined
  /** Who had the pid last, living or ended within the last seconds: for what was seen of it a moment ago. */
  latest(pid: number): KnownProcess | undefined
  find(key: ProcessKey): KnownProcess | undefined
  makerOf(process: KnownProcess): KnownProcess | undefined
  /** The maker, its maker and so on: as far as ended ones are remembered. */
  ancestors(process: KnownProcess): KnownProcess[]
  living(): Iterable<KnownProcess>
  /** Living and remembered ones together. */
  readonly size: number
}

/** The table with its writing side, which only the process source has. */
export type WritableProcessTable = ProcessTable & {
  /** Returns false when the table is full of living processes. */
  add(process: KnownProcess): boolean
  end(process: KnownProcess, sinceBoot: number, code: ExitCode | null): void
  /** Forgets who ended long ago. */
  forget(): void
}

export type TableOptions = {
  clock: BootClock
  /** How long an ended process is remembered since its end was told, which may be late on a busy host. */
  keepMs?: number
  /** How many ended ones are remembered at most: a burst of short programs makes thousands in a second. */
  maxEnded?: number
  /** Living and remembered ones together; the remembered go first. */
  max?: number
}

// Who nests deeper has made a chain of processes for its own sake.
const maxAncestors = 1_000

/** Keyed by pid and start time, so that a reused pid never passes for its former owner. */
export function processTable({
  clock,
  keepMs = 5_000,
  maxEnded = 8_192,
  max = 65_536,
}: TableOptions): WritableProcessTable {
  const byPid = new Map<number, KnownProcess>()
  const ended = fifo<{ process: KnownProcess; toldAt: number }>()
  let size = 0

  function add(process: KnownProcess): boolean {
    if (size >= max && !forgetOldest()) return false
    const former = byPid.get(process.pid)
    if (former !== undefined) {
      // Its end was not seen, or the pid would not be free.
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
    ended.push({ process, toldAt: clock.sinceBoot() })
    if (ended.length() > maxEnded) forgetOldest()
  }

  function forget(): void {
    const before = clock.sinceBoot() - keepMs
    for (let oldest = ended.first(); oldest !== undefined; oldest = ended.first()) {
      if (oldest.toldAt > before) return
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
    for (let user = newest; user !== undefined; user = user.older) {
      if (user.older === process) user.older = process.older
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
    const line: KnownProcess[] = []
    let next = makerOf(process)
    while (next !== undefined && line.length < maxAncestors) {
      line.push(next)
      next = makerOf(next)
    }
    return line
  }

  function makerOf({ makerPid, makerStartTicks }: KnownProcess): KnownProcess | undefined {
    return find({ pid: makerPid, startTicks: makerStartTicks })
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
    makerOf,
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
