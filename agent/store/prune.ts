import type { DatabaseSync } from 'node:sqlite'
import type { Tables } from './tables.ts'

export type Retention = { maxAgeMs: number; maxBytes: number }

const batch = 1_000

/** Forgets findings that are too old, then the oldest until the rest fits its size; those still firing stay. */
export function prune(database: DatabaseSync, tables: Tables, retention: Retention, now: number): number {
  let forgotten = tables.deleteBefore(now - retention.maxAgeMs)
  while (usedBytes(database) > retention.maxBytes) {
    const deleted = tables.deleteOldest(batch)
    if (deleted === 0) break
    forgotten += deleted
  }
  return forgotten
}

/** Bytes of the pages that hold something: a file does not shrink, its free pages are used again. */
function usedBytes(database: DatabaseSync): number {
  const pragma = (name: string) => Number(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0])
  return (pragma('page_count') - pragma('freelist_count')) * pragma('page_size')
}
