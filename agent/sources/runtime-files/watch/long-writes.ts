/**
 * Remembers which processes were reported while still writing, so that the rest of a long write is not reported as
 * another write.
 */
export type LongWrites = {
  /** Whether the process is in the middle of a reported write. */
  isOngoing(pid: number, time: number): boolean
  begin(pid: number, time: number): void
  end(pid: number): void
}

// A descriptor may stay open for days: a write after a pause of this length counts as a new one.
const PAUSE_MS = 10_000

/** Tracks the writes to one file that were reported and are not closed yet. */
export function longWrites(): LongWrites {
  const lastByPid = new Map<number, number>()
  const isOngoing = (pid: number, time: number) => time - (lastByPid.get(pid) ?? -Infinity) < PAUSE_MS
  return {
    isOngoing,
    begin(pid, time) {
      for (const other of lastByPid.keys()) if (!isOngoing(other, time)) lastByPid.delete(other)
      lastByPid.set(pid, time)
    },
    end: (pid) => void lastByPid.delete(pid),
  }
}
