import { readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { errorCode } from '../lib/errors.ts'

/** A store that a newer version has written: what it holds cannot be read by this one, and must not be touched. */
export class NewerStoreError extends Error {
  override name = 'NewerStoreError'
}

// SQLITE_CORRUPT and SQLITE_NOTADB (https://www.sqlite.org/rescode.html); the upper bits say more.
const brokenCodes: ReadonlySet<number> = new Set([11, 26])

/** Whether a store will not get better by waiting, as a full disk or a lock does. */
export function isUnusable(error: unknown): boolean {
  if (error instanceof NewerStoreError) return true
  const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) : 0
  return brokenCodes.has(code & 0xff)
}

// One that breaks again and again must not fill the disk.
const maxKept = 3

/**
 * Moves a store out of the way with what belongs to it, so that a new one can be begun and somebody can look at it;
 * the newest ones are kept. Returns where it is now; throws what the file system throws.
 */
export function moveAside(path: string, now = new Date()): string {
  const aside = `${path}.aside-${now.toISOString().replace(/[:.]/g, '-')}`
  renameSync(path, aside)
  // The log of what is not in the file yet (https://www.sqlite.org/wal.html) belongs to the old one alone.
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
