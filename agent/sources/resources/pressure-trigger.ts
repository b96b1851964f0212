import { closeSync, openSync, statfsSync, writeSync } from 'node:fs'
import { onPriority } from '../../linux/priority.ts'

/** The kernel's word, to be given up by `close`, that it will say when processes of a cgroup wait for memory. */
export type PressureTrigger = { close(): void }

/**
 * Asks the kernel to call when processes wait for memory, by a file `memory.pressure` (Documentation/accounting/psi.rst,
 * Linux 5.2); null where it does not, for want of PSI or of the right to write the file. Nothing is lost then: the
 * next sample tells of the same wait, one interval later at most.
 */
export function pressureTrigger(path: string, onPressure: () => void): PressureTrigger | null {
  let fd: number | null = null
  try {
    // Whatever else has that name is left alone.
    if (statfsSync(path).type !== cgroup2Magic) return null
    const opened = openSync(path, 'r+')
    fd = opened
    // The trigger first: the kernel calls only who comes after it.
    writeSync(opened, `${trigger}\0`)
    const priority = onPriority(opened, onPressure)
    return {
      close() {
        priority.close()
        closeSync(opened)
      },
    }
  } catch {
    if (fd !== null) closeSync(fd)
    return null
  }
}

/**
 * Called once in two seconds, in microseconds, while processes waited for a tenth of them: half of what is
 * reported. A window of two seconds needs no CAP_SYS_RESOURCE (kernel: psi_trigger_create).
 */
const trigger = 'some 200000 2000000'

/** What a trigger keeps open: the file, and the epoll that it is in. */
export const filesOfTrigger = 2

// CGROUP2_SUPER_MAGIC of include/uapi/linux/magic.h.
const cgroup2Magic = 0x63677270
