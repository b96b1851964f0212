import koffi from 'koffi'
import { getSystemErrorMap } from 'node:util'

/** The C library that Node itself is linked with. */
export const libc = koffi.load(null)

/** A failed system call, with its manual page name and a `code` like that of Node's own errors. */
export class SystemCallError extends Error {
  override name = 'SystemCallError'
  readonly errno: number
  readonly code: string

  constructor(call: string, errno = koffi.errno()) {
    const [code, text] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, 'unknown error']
    super(`${call}: ${code} (${text})`)
    this.errno = errno
    this.code = code
  }
}

const flock = libc.func('int flock(int fd, int operation)') as (fd: number, operation: number) => number

const LOCK_EX = 2
const LOCK_NB = 4

/** Takes the exclusive lock of an open file; false if another process holds it (flock(2)). */
export function tryLock(fd: number): boolean {
  if (flock(fd, LOCK_EX | LOCK_NB) === 0) return true
  const error = new SystemCallError('flock')
  if (error.code === 'EAGAIN') return false
  throw error
}
