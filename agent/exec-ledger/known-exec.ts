import type { ExecEntry } from '../model/exec-view.ts'
import type { EnteredOrigin } from '../model/observation.ts'
import type { ProcessKey } from '../model/process-key.ts'

/** An exec as the ledger knows it. Times are epoch milliseconds; one that goes on ends at Infinity. */
export type KnownExec = Omit<ExecEntry, 'by'> & {
  from: number
  to: number
  /** Host pid by the engine; 0 where it did not say. */
  pid: number
  /** Its first process in the container, where the kernel told of it. */
  entry: ProcessKey | null
  /** What it left running when it ended; bounded. */
  left: readonly ProcessKey[]
  /** When to look next what it left running. */
  lookAt: number
  /** A label of the image hides its id. */
  isNameless: boolean
  /** An earlier run of the daemon knew it. */
  fromBefore: boolean
}

/** For an exec of which the engine was not asked, or could not tell: one is reported, its processes not once more. */
export const unasked: KnownExec = {
  from: 0,
  to: Infinity,
  pid: 0,
  entry: null,
  left: [],
  lookAt: Infinity,
  isNameless: false,
  fromBefore: false,
  asRoot: true,
  privileged: true,
}

/** As what it explains. */
export function entryBy(by: 'exec' | 'time', { asRoot, privileged }: KnownExec): ExecEntry {
  return { by, asRoot, privileged }
}

export type Entry = ProcessKey & { startedAt: number }

/** Whether a process that came in is this exec's first one. */
export function isEntryOf(exec: KnownExec, { pid, startTicks, startedAt }: Entry): boolean {
  if (exec.entry !== null) return exec.entry.pid === pid && exec.entry.startTicks === startTicks
  return exec.pid === pid || (exec.isNameless && Math.abs(exec.from - startedAt) <= slackMs)
}

/**
 * Whether an entry only bears the name of this exec, which has come in already: whoever may enter can write anything on
 * his command line. The runtime's own last step is believed, for the first process may have been lost.
 */
export function isNamesake(exec: KnownExec, { entry, by }: Pick<EnteredOrigin, 'entry' | 'by'>): boolean {
  if (exec.entry === null || isEntryOf(exec, entry)) return false
  return by[0] !== undefined && by[0].argv[1] !== 'init'
}

/** An id that is used again when its exec has ended is not the engine's doing. */
export function wasGoingOn({ to }: KnownExec, time: number): boolean {
  return time <= to + slackMs
}

/** The first process as far as it is known: of one that nobody saw the engine may know the pid. */
export function firstOf({ entry, pid }: KnownExec): ProcessKey | null {
  return entry ?? (pid === 0 ? null : { pid, startTicks: 0 })
}

/** Whether it is of the run of its container that began then: what was before has ended, whoever told of it. */
export function isOfRun({ from }: KnownExec, runsSince: number): boolean {
  return from + slackMs >= runsSince
}

/** Whether it may have been the reason of what began at a time. */
export function hadBegun({ from }: KnownExec, time: number): boolean {
  return from - slackMs <= time
}

/**
 * Whether a process is one of this exec's by its session, which the runtime begins with each exec (`setsid` of runc's
 * nsexec.c) and nobody can join: the number of its leader is not used again as long as it has members.
 */
export function isOfSession(
  exec: KnownExec,
  { pid, startTicks, session }: ProcessKey & { session: number },
): boolean {
  const first = firstOf(exec)
  const leaders = first === null ? exec.left : [first, ...exec.left]
  return leaders.some((one) => (one.pid === pid ? one.startTicks === startTicks : one.pid === session))
}

/**
 * When to look again what an ended exec left running: what it began in its last moment goes on to begin other things,
 * most of them at once. Waits twice as long each time.
 */
export function nextLook({ to }: KnownExec, time: number): number {
  const since = Math.max(0, time - to)
  return since > lookForMs ? Infinity : time + since + 50
}

const lookForMs = 60_000

// Process start times come in clock ticks (10 ms), events in the engine's own time.
const slackMs = 1_000
