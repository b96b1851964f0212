import { readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { errorCode } from '../lib/errors.ts'

/** The store was written by a newer version: this version cannot read it and must not change it. */
export class NewerStoreError extends Error {
  override name = 'NewerStoreError'
}

// SQLITE_CORRUPT and SQLITE_NOTADB (https://www.sqlite.org/rescode.html); the upper bits hold the extended code.
const corruptCodes: ReadonlySet<number> = new Set([11, 26])

/** Whether a store is permanently unusable; a full disk or a lock is temporary. */
export function isUnusable(error: unknown): boolean {
  if (error instanceof NewerStoreError) return true
  const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) : 0
  return corruptCodes.has(code & 0xff)
}

// A store that becomes corrupt repeatedly must not fill the disk.
const maxKept = 3

/**
 * Renames an unusable store and its log files, so that a new store can be created and the old one can be inspected.
 * Only the newest ones are retained. Returns the new path; throws file system errors.
 */
export function moveAside(path: string, now = new Date()): string {
  const aside = `${path}.aside-${now.toISOString().replace(/[:.]/g, '-')}`
  renameSync(path, aside)
  // The write-ahead log (https://www.sqlite.org/wal.html) belongs to the old store.
  for (const suffix of ['-wal', '-shm']) renameIfThere(path + suffix, aside + suffix)
  const prefix = `${basename(path)}.aside-`
  const earlier = readdirSync(dirname(path)).filter(
    (name) => name.startsWith(prefix) && !/-(?:wal|shm)$/.test(name),
  )
  for (const name of earlier.toSorted().slice(0, -maxKept))
    for (const suffix of ['', '-wal', '-shm']) rmSync(join(dirname(path), name + suffix), { force: true })
  return aside
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
}
