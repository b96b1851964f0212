import { closeSync, constants, openSync, readSync } from 'node:fs'

/** As much of a file as is kept and compared. */
export const maxValueBytes = 4_096

const buffer = Buffer.alloc(maxValueBytes)

/**
 * What a file holds, without the line break at its end; null for one that is absent, blank or not to be read. Whatever
 * stands at the path, a pipe for instance, does not make us wait.
 */
export function readValue(path: string): string | null {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const text = buffer.toString('utf8', 0, readSync(fd, buffer)).replace(/\n$/, '')
      return text.trim() === '' ? null : text
    } finally {
      closeSync(fd)
    }
  } catch {
    return null
  }
}
