import type { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { messageOf } from '../lib/errors.ts'
import type { Finding } from '../model/finding.ts'
import { isUnusable, moveAside } from './aside.ts'
import { copyAll, copyWhatMatters } from './copy.ts'
import { openDatabase } from './database.ts'
import { prune, type Retention } from './prune.ts'
import { type Delivery, prepareTables, type Queue, type Tables } from './tables.ts'

export const storeFile = 'findings.db'

/** `memory` when the file cannot be written to: then all goes on, but a crash would lose it. */
export type StoreMode = 'file' | 'memory'

/** What detectors found and exporters have to deliver; its methods do not fail when the disk does. */
export type Store = Omit<Tables, 'deleteBefore' | 'deleteOldest'> & {
  mode(): StoreMode
  /** Tries to go back from memory to the file; nothing happens in `file` mode. */
  tryToRestore(): void
  /** Forgets what is past its retention; returns how many findings that were. */
  prune(retention: Retention, now: number): number
  close(): void
}

export type StoreOptions = {
  directory: string
  /** Told of each change of mode, with the reason for people. */
  onModeChange: (mode: StoreMode, reason: string) => void
  /** Told where a store that cannot be used any more was moved to, and why. */
  onMovedAside: (reason: string) => void
  /** Told how many findings were forgotten because memory is bounded too. */
  onLost: (count: number) => void
}

// A finding takes about 1 KB: 10 MB is what a daemon may hold of them when its disk is gone.
const memoryCapacity = 10_000

/** Opens the store in a directory, or in memory when that fails. */
export function openStore({ directory, onModeChange, onMovedAside, onLost }: StoreOptions): Store {
  const path = join(directory, storeFile)
  let database: DatabaseSync
  let tables: Tables
  let mode: StoreMode
  let savedInMemory = 0

  try {
    use(openDatabase(path), 'file')
  } catch (error) {
    goOnInMemory(error)
  }

  function use(next: DatabaseSync, nextMode: StoreMode): void {
    tables = prepareTables(next)
    database = next
    mode = nextMode
  }

  function goOnInMemory(error: unknown): void {
    const failed = database as DatabaseSync | undefined
    const memory = openDatabase(':memory:')
    if (failed !== undefined) copyWhatMatters(failed, memory)
    use(memory, 'memory')
    savedInMemory = 0
    closeQuietly(failed)
    if (isUnusable(error) && beginAnew(error)) return
    onModeChange('memory', `${path} cannot be used: ${messageOf(error)}`)
  }

  /** In a new file, with what could be taken from the old one. */
  function beginAnew(error: unknown): boolean {
    try {
      onMovedAside(`${path} cannot be used, and is ${moveAside(path)} now: ${messageOf(error)}`)
    } catch {
      return false
    }
    return restore()
  }

  function restore(): boolean {
    let file: DatabaseSync | undefined
    try {
      file = openDatabase(path)
      copyAll(database, file)
    } catch {
      closeQuietly(file)
      return false
    }
    closeQuietly(database)
    use(file, 'file')
    return true
  }

  /** Runs work on the tables; when the file fails, once more on those in memory. */
  function attempt<T>(work: (tables: Tables) => T): T {
    if (mode === 'memory') return work(tables)
    try {
      return work(tables)
    } catch (error) {
      goOnInMemory(error)
      return work(tables)
    }
  }

  function keepMemoryBounded(): void {
    savedInMemory += 1
    if (savedInMemory <= memoryCapacity) return
    const forgotten = tables.deleteOldest(memoryCapacity / 10)
    savedInMemory -= memoryCapacity / 10
    if (forgotten > 0) onLost(forgotten)
  }

  return {
    save(finding: Finding, act: string | null, receivers: readonly Queue[], now: number): boolean {
      const isNew = attempt((t) => t.save(finding, act, receivers, now))
      if (mode === 'memory') keepMemoryBounded()
      return isNew
    },
    due: (receiver: string, now: number, limit: number): Delivery[] =>
      attempt((t) => t.due(receiver, now, limit)),
    nextDue: (receiver: string, now: number) => attempt((t) => t.nextDue(receiver, now)),
    delivered: (receiver: string, ids: readonly string[], now: number, nextAt: number) =>
      attempt((t) => t.delivered(receiver, ids, now, nextAt)),
    dequeue: (receiver: string, ids: readonly string[]) => attempt((t) => t.dequeue(receiver, ids)),
    pending: (receiver: string) => attempt((t) => t.pending(receiver)),
    firing: () => attempt((t) => t.firing()),
    find: (id: string) => attempt((t) => t.find(id)),
    latest: (limit: number) => attempt((t) => t.latest(limit)),
    eventsSince: (time: number, limit: number) => attempt((t) => t.eventsSince(time, limit)),
    getState: (key: string) => attempt((t) => t.getState(key)),
    setState: (key: string, value: string) => attempt((t) => t.setState(key, value)),
    deleteState: (key: string) => attempt((t) => t.deleteState(key)),
    stateKeys: (prefix: string) => attempt((t) => t.stateKeys(prefix)),
    findByAct: (rule: string, act: string) => attempt((t) => t.findByAct(rule, act)),
    prune: (retention: Retention, now: number) => attempt((t) => prune(database, t, retention, now)),
    mode: () => mode,
    tryToRestore(): void {
      if (mode === 'file' || !restore()) return
      onModeChange('file', `${path} can be written to again; what was kept in memory is stored`)
    },
    close: () => closeQuietly(database),
  }
}

function closeQuietly(database: DatabaseSync | undefined): void {
  try {
    database?.close()
  } catch {
    // A file on a full or vanished disk may refuse its last checkpoint; the WAL keeps what it holds.
  }
}
