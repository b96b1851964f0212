import { closeSync, openSync, statfsSync, writeSync } from 'node:fs'
import { onPriority } from '../../linux/priority.ts'

/** A notification, registered until `close`, that processes of a cgroup wait for memory. */
export type PressureTrigger = { close(): void }

/**
 * Asks the kernel to notify when processes wait for memory, through a file `memory.pressure`
 * (Documentation/accounting/psi.rst, Linux 5.2). Null when it cannot, for lack of PSI or of permission to write the
 * file. Nothing is lost then: the next sample shows the same wait, one interval later at most.
 */
export function pressureTrigger(path: string, onPressure: () => void): PressureTrigger | null {
  try {
    // Never write to another kind of file with this name.
    if (statfsSync(path).type !== cgroup2Magic) return null
    using opening = new DisposableStack()
    const fd = opening.adopt(openSync(path, 'r+'), closeSync)
    // The trigger first: the kernel notifies only those who poll after it is set.
    writeSync(fd, `${TRIGGER}\0`)
    opening.adopt(onPriority(fd, onPressure), (priority) => priority.close())
    const resources = opening.move()
    return { close: () => resources.dispose() }
  } catch {
    return null
  }
}

/**
 * Notifies at most once in two seconds, when processes waited for a tenth of them (in microseconds): half of what is
 * reported. A window of two seconds needs no CAP_SYS_RESOURCE (kernel: psi_trigger_create).
 */
const TRIGGER = 'some 200000 2000000'

/** How many files a trigger keeps open: the pressure file and its epoll instance. */
export const filesOfTrigger = 2

// CGROUP2_SUPER_MAGIC of include/uapi/linux/magic.h.
const cgroup2Magic = 0x63677270
