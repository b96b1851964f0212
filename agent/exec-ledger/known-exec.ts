import type { ExecEntry } from '../model/exec-view.ts'
import type { EnteredOrigin } from '../model/observation.ts'
import type { ProcessKey } from '../model/process-key.ts'

/**
 * An exec that the engine reported, with what is needed to find its processes as long as its container exists.
 * Times are epoch milliseconds; `to` is Infinity while it runs. It is stored as JSON, so its field names are part of
 * the store's format. `ExecFacts` are what was reported of it, which is not stored and soon forgotten.
 */
export type KnownExec = Omit<ExecEntry, 'by'> & {
  from: number
  to: number
  /** Host pid reported by the engine; 0 if unknown. */
  pid: number
  /** Its first process in the container, if the kernel reported it. */
  entry: ProcessKey | null
  /** Processes still running when it ended; bounded. */
  left: readonly ProcessKey[]
  /** When to scan next for processes that it left running. */
  lookAt: number
  /** An image label hides its id. */
  isNameless: boolean
  /** Known to an earlier run of the daemon. */
  fromBefore: boolean
}

/**
 * The defaults for an exec that was not inspected, or that the engine does not know. It counts as privileged root:
 * the exec itself is reported, and its processes are not reported again.
 */
export const uninspectedExec: KnownExec = {
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

/** The entry that this exec explains. */
export function entryBy(by: 'exec' | 'time', { asRoot, privileged }: KnownExec): ExecEntry {
  return { by, asRoot, privileged }
}

export type Entry = ProcessKey & { startedAt: number }

/** Whether a process that entered the container is this exec's first process. */
export function isEntryOf(exec: KnownExec, { pid, startTicks, startedAt }: Entry): boolean {
  if (exec.entry !== null) return exec.entry.pid === pid && exec.entry.startTicks === startTicks
  return exec.pid === pid || (exec.isNameless && Math.abs(exec.from - startedAt) <= slackMs)
}

/**
 * Whether an entry only claims this exec's id, while the exec's first process is already known: a process that enters
 * a container can put any id on its command line. `runc init` is trusted, because the first process may have been
 * lost.
 */
export function isImpostor(exec: KnownExec, origin: Pick<EnteredOrigin, 'entry' | 'by'>): boolean {
  if (firstProcessOf(exec) === null || isEntryOf(exec, origin.entry)) return false
  return origin.by[0] !== undefined && !wasRuntimeInit(origin)
}

/** Whether the process that entered was the runtime before its exec, as the first process of each exec is. */
export function wasRuntimeInit({ by }: Pick<EnteredOrigin, 'by'>): boolean {
  return by[0]?.argv[1] === 'init'
}

/** Whether it was running at a time. The engine never reuses the id of an exec that has ended. */
export function wasRunning({ to }: KnownExec, time: number): boolean {
  return time <= to + slackMs
}

/** The first process as far as it is known: the engine may know the pid of one that was not observed. */
export function firstProcessOf({ entry, pid }: KnownExec): ProcessKey | null {
  return entry ?? (pid === 0 ? null : { pid, startTicks: 0 })
}

/** Whether it belongs to the container run that started then. Execs of an earlier run have ended. */
export function isOfRun({ from }: KnownExec, runsSince: number): boolean {
  return from + slackMs >= runsSince
}

/** Whether it had started at a time, so that it can have caused what started then. */
export function hadStarted({ from }: Pick<KnownExec, 'from'>, time: number): boolean {
  return from - slackMs <= time
}

/**
 * Whether a process belongs to this exec by its session. The runtime creates one for each exec (`setsid` in runc's
 * nsexec.c), no process can join it, and the leader's pid is not reused while the session has members.
 */
export function isInSession(
  exec: KnownExec,
  { pid, startTicks, session }: ProcessKey & { session: number },
): boolean {
  const first = firstProcessOf(exec)
  const leaders = first === null ? exec.left : [first, ...exec.left]
  return leaders.some((one) => (one.pid === pid ? one.startTicks === startTicks : one.pid === session))
}

/**
 * When to scan again for processes that an ended exec left running: a process started at the end of an exec starts
 * others, most of them immediately. The interval doubles each time.
 */
export function nextScanAt({ to }: KnownExec, time: number): number {
  const since = Math.max(0, time - to)
  return since > scanForMs ? Infinity : time + since + 50
}

const scanForMs = 60_000

// Process start times have a resolution of one clock tick (10 ms); events carry the engine's clock.
const slackMs = 1_000
