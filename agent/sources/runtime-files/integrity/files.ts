import { readFileSync, readlinkSync, realpathSync, statSync, type Stats } from 'node:fs'
import { errorCode } from '../../../lib/errors.ts'

// ENODEV and ENXIO: a device or socket has taken the file's place. ESRCH: the process has exited.
const absent = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'ENODEV', 'ESRCH'])

/** Whether an error means only that there is no such file, which is normal: it vanished meanwhile. */
export function isAbsent(error: unknown): boolean {
  return absent.has(errorCode(error))
}

// These return an empty value on any error: nothing can be read of a process that exited or that we may not inspect.

export const tryRead = (path: string): string => attempt(() => readFileSync(path, 'utf8')) ?? ''
export const tryReadLink = (path: string): string => attempt(() => readlinkSync(path)) ?? ''
export const tryRealPath = (path: string): string => attempt(() => realpathSync.native(path)) ?? ''
export const tryStat = (path: string): Stats | null => attempt(() => statSync(path))

function attempt<T>(read: () => T): T | null {
  try {
    return read()
  } catch {
    return null
  }
}
