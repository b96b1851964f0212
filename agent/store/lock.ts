import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { errorCode, UserError } from '../lib/errors.ts'
import { tryLock } from '../linux/libc.ts'

/**
 * Locks the state directory until the process exits for any reason: two daemons on one store would deliver everything
 * twice. Throws file system errors if the directory is not writable.
 */
export function lockStateDirectory(directory: string): { release: () => void } {
  makeDirectory(directory)
  const fd = openSync(join(directory, 'daemon.lock'), 'a', 0o600)
  if (tryLock(fd)) return { release: () => closeSync(fd) }
  closeSync(fd)
  throw new UserError(
    `another tidewatch uses the state directory ${directory}: stop it, or set a different --state.directory`,
  )
}

/** Like `lockStateDirectory`, but tolerates a directory that is not writable: no other daemon can use it either. */
export function lockIfWritable(directory: string): { release: () => void } | undefined {
  try {
    return lockStateDirectory(directory)
  } catch (error) {
    if (error instanceof UserError) throw error
    return undefined
  }
}

/** Also creates parents. `recursive: true` loops forever on file systems whose mkdir returns ENOENT, like procfs. */
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
