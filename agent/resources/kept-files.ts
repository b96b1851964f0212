import { closeSync, existsSync, openSync, readSync } from 'node:fs'
import { dirname } from 'node:path'
import { errorCode } from '../errors.ts'

/** Kernel files that are read again and again. */
export type KeptFiles = {
  /** Null for a file that this kernel does not have; throws when its whole directory has vanished. */
  read(path: string): string | null
  close(): void
}

/** Keeps each file open once it was read: reading anew costs a tenth of opening, reading and closing. */
export function keptFiles(): KeptFiles {
  const descriptors = new Map<string, number | null>()
  return {
    read(path) {
      let descriptor = descriptors.get(path)
      if (descriptor === undefined) {
        descriptor = openIfThere(path)
        descriptors.set(path, descriptor)
      }
      return descriptor === null ? null : readAgain(descriptor)
    },
    close() {
      for (const descriptor of descriptors.values()) if (descriptor !== null) closeSync(descriptor)
      descriptors.clear()
    },
  }
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

function readAgain(descriptor: number): string {
  const length = readSync(descriptor, buffer, 0, buffer.length, 0)
  return buffer.toString('latin1', 0, length)
}
