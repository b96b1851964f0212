import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { errorCode, isProcessGone } from '../../lib/errors.ts'
import type { ReadText } from './usage.ts'

/** Kernel files that are read repeatedly. */
export type OpenFileCache = {
  /**
   * Reads files of one directory: null for a file that this kernel does not have; throws when the whole
   * directory has vanished.
   */
  within(directory: string): ReadText
  /** How many descriptors are open. */
  count(): number
  close(): void
}

/** Keeps each file open after its first read: reading it again costs a tenth of opening, reading and closing it. */
export function openFileCache(): OpenFileCache {
  const open = new Set<number>()
  return {
    within(directory) {
      const descriptors = new Map<string, number | null>()
      return (name) => {
        let descriptor = descriptors.get(name)
        if (descriptor === undefined) {
          descriptor = openIfThere(join(directory, name))
          descriptors.set(name, descriptor)
          if (descriptor !== null) open.add(descriptor)
        }
        return descriptor === null ? null : readAgain(descriptor)
      }
    },
    count: () => open.size,
    close() {
      using closing = new DisposableStack()
      for (const descriptor of open) closing.adopt(descriptor, closeSync)
      open.clear()
    },
  }
}

// Descriptors that the rest of the daemon may need: connections, its database, its watches.
const RESERVED_FILES = 1_024
// An open file also costs the kernel one page (kernel: seq_file); 32,768 files are those of 2,000 containers.
const MAX_OPEN_FILES = 32_768

/** How many files may be kept open: the limit of this process, less what the rest of it needs. */
export function descriptorBudget(procRoot: string): number {
  const limits = readFileSync(join(procRoot, 'self/limits'), 'latin1')
  const soft = /^Max open files +(\d+) /m.exec(limits)?.[1]
  return Math.max(
    0,
    Math.min(soft === undefined ? MAX_OPEN_FILES : Number(soft) - RESERVED_FILES, MAX_OPEN_FILES),
  )
}

/** Whether an error means that a process or cgroup is gone; the kernel returns ENODEV on an open descriptor. */
export function isVanished(error: unknown): boolean {
  return isProcessGone(error) || errorCode(error) === 'ENODEV'
}

function openIfThere(path: string): number | null {
  try {
    return openSync(path, 'r')
  } catch (error) {
    if (errorCode(error) === 'ENOENT' && existsSync(dirname(path))) return null
    throw error
  }
}

// The longest of these files, memory.stat, takes 2 to 5 KB. One read is enough: the kernel produces such a file
// completely at the first read (kernel: single_open of seq_file).
const buffer = Buffer.alloc(64 * 1024)

function readAgain(descriptor: number): string | null {
  try {
    const length = readSync(descriptor, buffer, 0, buffer.length, 0)
    return buffer.toString('latin1', 0, length)
  } catch (error) {
    // A kernel that was built with PSI but booted without it has the files and returns this error.
    if (['ENOTSUP', 'EOPNOTSUPP'].includes(errorCode(error))) return null
    throw error
  }
}
