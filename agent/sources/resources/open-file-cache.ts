import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { errorCode } from '../../lib/errors.ts'
import type { ReadText } from './usage.ts'

/** Kernel files that are read again and again. */
export type KeptFiles = {
  /**
   * Reads files of one directory: null for a file that this kernel does not have; throws when the whole
   * directory has vanished.
   */
  within(directory: string): ReadText
  /** How many descriptors are open. */
  count(): number
  close(): void
}

/** Keeps each file open once it was read: reading anew costs a tenth of opening, reading and closing. */
export function keptFiles(): KeptFiles {
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
      for (const descriptor of open) closeSync(descriptor)
      open.clear()
    },
  }
}

// What the rest of the daemon may need at once: connections, its database, what it watches.
const reserve = 1_024
// A kept file also costs the kernel one page (kernel: seq_file); 32,768 are those of 2,000 containers.
const mostKept = 32_768

/** How many files may be kept open: what this process may have, less what the rest of it needs. */
export function descriptorBudget(procRoot: string): number {
  const limits = readFileSync(join(procRoot, 'self/limits'), 'latin1')
  const soft = /^Max open files +(\d+) /m.exec(limits)?.[1]
  return Math.max(0, Math.min(soft === undefined ? mostKept : Number(soft) - reserve, mostKept))
}

/** Whether an error says that a process or cgroup has ended; the kernel answers ENODEV on a kept descriptor. */
export function isVanished(error: unknown): boolean {
  return ['ENOENT', 'ESRCH', 'ENODEV'].includes(errorCode(error))
}

function openIfThere(path: string): number | null {
  try {
    return openSync(path, 'r')
  } catch (error) {
    if (errorCode(error) === 'ENOENT' && existsSync(dirname(path))) return null
    throw error
  }
}

// The longest of these files, memory.stat, takes 2 to 5 KB. One read is enough: such a file is made whole at
// its first read (kernel: single_open of seq_file).
const buffer = Buffer.alloc(64 * 1024)

function readAgain(descriptor: number): string | null {
  try {
    const length = readSync(descriptor, buffer, 0, buffer.length, 0)
    return buffer.toString('latin1', 0, length)
  } catch (error) {
    // A kernel that was built with PSI and started without has its files, and answers so.
    if (['ENOTSUP', 'EOPNOTSUPP'].includes(errorCode(error))) return null
    throw error
  }
}
