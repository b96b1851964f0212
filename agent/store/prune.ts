import type { DatabaseSync } from 'node:sqlite'
import type { Tables } from './tables.ts'

export type Retention = { maxAgeMs: number; maxBytes: number }

const batch = 1_000

/** Deletes expired findings, then the oldest ones until the rest fits the size limit; firing conditions stay. */
export function prune(database: DatabaseSync, tables: Tables, retention: Retention, now: number): number {
  let total = tables.deleteBefore(now - retention.maxAgeMs)
  while (usedBytes(database) > retention.maxBytes) {
    const deleted = tables.deleteOldest(batch)
    if (deleted === 0) break
    total += deleted
  }
  return total
}

/** Bytes of the pages in use: the file does not shrink, but SQLite reuses its free pages. */
function usedBytes(database: DatabaseSync): number {
  const pragma = (name: string) => Number(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0])
  return (pragma('page_count') - pragma('freelist_count')) * pragma('page_size')
}
