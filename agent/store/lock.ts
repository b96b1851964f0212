import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { errorCode, UserError } from '../lib/errors.ts'
import { tryLock } from '../linux/libc.ts'

/**
 * Makes the state directory this daemon's own until the process ends, however it ends: two daemons on one
 * store would deliver everything twice. Throws what the file system throws when it cannot be written to.
 */
export function lockStateDirectory(directory: string): { release: () => void } {
  makeDirectory(directory)
  const fd = openSync(join(directory, 'daemon.lock'), 'a', 0o600)
  if (tryLock(fd)) return { release: () => closeSync(fd) }
  closeSync(fd)
  throw new UserError(
    `another tidewatch uses the state directory ${directory}: stop it, or give this one a --state.directory of its own`,
  )
}

/** The same, where a directory that cannot be written to is no reason not to start: then there is nothing to share. */
export function lockIfWritable(directory: string): { release: () => void } | undefined {
  try {
    return lockStateDirectory(directory)
  } catch (error) {
    if (error instanceof UserError) throw error
    return undefined
  }
}

/** With its parents. Not by `recursive: true`, which tries for ever where a file system answers ENOENT to mkdir, as procfs does. */
function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 })
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return
    if (errorCode(error) !== 'ENOENT' || dirname(directory) === directory) throw error
    makeDirectory(dirname(directory))
    mkdirSync(directory, { mode: 0o700 })
  }
}
