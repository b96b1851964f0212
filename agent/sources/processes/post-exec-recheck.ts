import type { KnownProcess } from './table/known-process.ts'

/** Checks a process once more if it is still running shortly after its exec. */
export type PostExecRecheck = {
  add(process: KnownProcess): void
  /** Cancels the recheck of a process that needs none. */
  remove(process: KnownProcess): void
  close(): void
}

// Most programs started by scripts have exited by then and cost nothing.
const afterMs = 10

/** Calls back for each process that is still running, between one and two times `afterMs` after it was added. */
export function postExecRecheck(check: (process: KnownProcess) => void): PostExecRecheck {
  let due = new Set<KnownProcess>()
  let added = new Set<KnownProcess>()
  let timer: NodeJS.Timeout | undefined

  function checkDue(): void {
    const running = [...due].filter(({ exit }) => exit === null)
    due = added
    added = new Set()
    timer = due.size > 0 ? setTimeout(checkDue, afterMs) : undefined
    for (const process of running) check(process)
  }

  return {
    add(process) {
      added.add(process)
      timer ??= setTimeout(checkDue, afterMs)
    },
    remove(process) {
      added.delete(process)
      due.delete(process)
    },
    close: () => clearTimeout(timer),
  }
}
