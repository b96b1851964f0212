import type { KnownProcess } from './table/known-process.ts'

/** Looks once more at those who live on after they have run a program. */
export type SecondLook = {
  add(process: KnownProcess): void
  /** For one of whom there is nothing left to find. */
  remove(process: KnownProcess): void
  close(): void
}

// Most programs that a script runs are gone by then, and cost nothing.
const afterMs = 10

/** Calls back, between one and two times `afterMs` after it was added, for each process that has not ended. */
export function secondLook(look: (process: KnownProcess) => void): SecondLook {
  let due = new Set<KnownProcess>()
  let fresh = new Set<KnownProcess>()
  let timer: NodeJS.Timeout | undefined

  function everyTurn(): void {
    const living = [...due].filter(({ exit }) => exit === null)
    due = fresh
    fresh = new Set()
    timer = due.size > 0 ? setTimeout(everyTurn, afterMs) : undefined
    for (const process of living) look(process)
  }

  return {
    add(process) {
      fresh.add(process)
      timer ??= setTimeout(everyTurn, afterMs)
    },
    remove(process) {
      fresh.delete(process)
      due.delete(process)
    },
    close: () => clearTimeout(timer),
  }
}
