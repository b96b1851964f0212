import { closeSync, constants, openSync, readSync } from 'node:fs'

/** How many bytes of a file are stored and compared. */
export const maxValueBytes = 4_096

const buffer = Buffer.alloc(maxValueBytes)

/**
 * The content of a file without its final line break; null if it is absent, blank or unreadable. Never blocks, even
 * if the path is a pipe.
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
