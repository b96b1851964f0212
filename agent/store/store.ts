import type { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { messageOf } from '../lib/errors.ts'
import type { Finding } from '../model/finding.ts'
import { isUnusable, moveAside } from './unusable-store.ts'
import { copyAll, copyEssentials } from './copy.ts'
import { openDatabase } from './database.ts'
import { prune, type Retention } from './prune.ts'
import { type Delivery, prepareTables, type Queue, type Tables } from './tables.ts'

export const storeFile = 'findings.db'

/** `memory` if the file is not writable: everything works, but a crash would lose the findings. */
export type StoreMode = 'file' | 'memory'

/** Findings and pending deliveries; its methods do not fail when the disk does. */
export type Store = Omit<Tables, 'deleteBefore' | 'deleteOldest'> & {
  mode(): StoreMode
  /** The number of findings dropped so far because memory is limited. */
  lost(): number
  /** How often an unusable store was moved aside. */
  movedAside(): number
  /** Tries to switch from memory back to the file; does nothing in `file` mode. */
  tryToRestore(): void
  /** Deletes findings past their retention; returns how many. */
  prune(retention: Retention, now: number): number
  close(): void
}

export type StoreOptions = {
  directory: string
  /** Called for each change of mode, with a readable reason. */
  onModeChange: (mode: StoreMode, reason: string) => void
  /** Called when an unusable store was moved aside, with its new path and the reason. */
  onMovedAside: (reason: string) => void
}

// A finding takes about 1 KB: without a disk, findings use at most 10 MB of memory.
const memoryCapacity = 10_000

/** Opens the store in a directory, or in memory when that fails. */
export function openStore({ directory, onModeChange, onMovedAside }: StoreOptions): Store {
  const path = join(directory, storeFile)
  let database: DatabaseSync
  let tables: Tables
  let mode: StoreMode
  let savedInMemory = 0
  let lost = 0
  let movedAside = 0

  try {
    use(openDatabase(path), 'file')
  } catch (error) {
    switchToMemory(error)
  }

  function use(next: DatabaseSync, nextMode: StoreMode): void {
    tables = prepareTables(next)
    database = next
    mode = nextMode
  }

  function switchToMemory(error: unknown): void {
    const failed = database as DatabaseSync | undefined
    const memory = openDatabase(':memory:')
    if (failed !== undefined) copyEssentials(failed, memory)
    use(memory, 'memory')
    savedInMemory = 0
    closeQuietly(failed)
    if (isUnusable(error) && replaceFile(error)) return
    onModeChange('memory', `cannot use ${path}: ${messageOf(error)}`)
  }

  /** Moves the file aside and creates a new one with everything that could still be read. */
  function replaceFile(error: unknown): boolean {
    try {
      onMovedAside(`cannot use ${path}, moved it to ${moveAside(path)}: ${messageOf(error)}`)
    } catch {
      return false
    }
    movedAside += 1
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

  /** Runs work on the tables; if the file fails, switches to memory and runs it again. */
  function attempt<T>(work: (tables: Tables) => T): T {
    if (mode === 'memory') return work(tables)
    try {
      return work(tables)
    } catch (error) {
      switchToMemory(error)
      return work(tables)
    }
  }

  function keepMemoryBounded(): void {
    savedInMemory += 1
    if (savedInMemory <= memoryCapacity) return
    const dropped = tables.deleteOldest(memoryCapacity / 10)
    savedInMemory -= memoryCapacity / 10
    lost += dropped
  }

  return {
    save(finding: Finding, eventKey: string | null, receivers: readonly Queue[], now: number): boolean {
      const isNew = attempt((t) => t.save(finding, eventKey, receivers, now))
      if (mode === 'memory') keepMemoryBounded()
      return isNew
    },
    enqueue: (findings: readonly Finding[], queue: Queue, now: number) =>
      attempt((t) => t.enqueue(findings, queue, now)),
    due: (receiver: string, now: number, limit: number): Delivery[] =>
      attempt((t) => t.due(receiver, now, limit)),
    nextDue: (receiver: string, now: number) => attempt((t) => t.nextDue(receiver, now)),
    delivered: (receiver: string, ids: readonly string[], now: number, nextAt: number) =>
      attempt((t) => t.delivered(receiver, ids, now, nextAt)),
    dequeue: (receiver: string, ids: readonly string[]) => attempt((t) => t.dequeue(receiver, ids)),
    pending: (receiver: string) => attempt((t) => t.pending(receiver)),
    firing: () => attempt((t) => t.firing()),
    endedSince: (time: number) => attempt((t) => t.endedSince(time)),
    find: (id: string) => attempt((t) => t.find(id)),
    latest: (limit: number) => attempt((t) => t.latest(limit)),
    eventsSince: (time: number, limit: number) => attempt((t) => t.eventsSince(time, limit)),
    getState: (key: string) => attempt((t) => t.getState(key)),
    setState: (key: string, value: string) => attempt((t) => t.setState(key, value)),
    deleteState: (key: string) => attempt((t) => t.deleteState(key)),
    stateKeys: (prefix: string) => attempt((t) => t.stateKeys(prefix)),
    findByEventKey: (rule: string, eventKey: string) => attempt((t) => t.findByEventKey(rule, eventKey)),
    prune: (retention: Retention, now: number) => attempt((t) => prune(database, t, retention, now)),
    mode: () => mode,
    lost: () => lost,
    movedAside: () => movedAside,
    tryToRestore(): void {
      if (mode === 'file' || !restore()) return
      onModeChange('file', `${path} is writable again; findings from memory are stored`)
    },
    close: () => closeQuietly(database),
  }
}

function closeQuietly(database: DatabaseSync | undefined): void {
  try {
    database?.close()
  } catch {
    // The last checkpoint may fail on a full or missing disk; the data stays in the WAL.
  }
}
