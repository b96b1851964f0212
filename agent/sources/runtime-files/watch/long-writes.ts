/** Remembers who was reported while still writing, so that the rest of one long write is not a second one. */
export type LongWrites = {
  /** Whether a process is known to be in the middle of a write. */
  goesOn(pid: number, time: number): boolean
  begin(pid: number, time: number): void
  end(pid: number): void
}

// A descriptor may be held for days: a write after a pause as long as this is a new act.
const PAUSE_MS = 10_000

/** The writes to one file that were reported and are not closed yet. */
export function longWrites(): LongWrites {
  const lastByPid = new Map<number, number>()
  const goesOn = (pid: number, time: number) => time - (lastByPid.get(pid) ?? -Infinity) < PAUSE_MS
  return {
    goesOn,
    begin(pid, time) {
      for (const other of lastByPid.keys()) if (!goesOn(other, time)) lastByPid.delete(other)
      lastByPid.set(pid, time)
    },
    end: (pid) => void lastByPid.delete(pid),
  }
}
