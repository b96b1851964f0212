import { first, type Observable, of, timer } from 'rxjs'
import type { Caller, ExecEnded, ExecObservation, ProcessObservation } from './observation.ts'
import type { ProcessKey } from './process-key.ts'

/**
 * The execs of the Docker API: what was reported of each, and which processes they explain, once the engine had time
 * to report one.
 */
export type ExecView = {
  /** Undefined for an exec without an id, an unknown one, and one that ended more than a minute ago. */
  factsOf(execId: string): ExecFacts | undefined
  entryOf(seen: ProcessObservation): ExecEntry
  /** Whether the engine has not reported yet which exec started it, or that exec's user. */
  isPending(seen: ProcessObservation): boolean
}

/**
 * What was reported of one exec, in whatever order it arrived: the kernel is often faster than the engine. There is
 * one record per exec, which is updated before detectors see the same observation.
 */
export type ExecFacts = {
  /** Null until the engine reports it. */
  readonly exec: ExecObservation | null
  /** Null until it is reported. */
  readonly caller: Caller | null
  /** The first programs of its process tree. */
  readonly programs: readonly ProcessObservation['process'][]
  /** Null while it runs. */
  readonly end: ExecEnded | null
}

/** The facts about an exec of which nothing was reported yet. */
export const noFacts: ExecFacts = { exec: null, caller: null, programs: [], end: null }

/**
 * How a process entered. `exec`: by exactly this exec. `time`: while this exec was running, with no proof which one.
 */
export type ExecEntry = { by: 'exec' | 'time' | 'none'; asRoot: boolean; privileged: boolean }

/**
 * A process that no exec explains is checked again after this delay: on a busy host a timer may fire before data that
 * has already arrived is read.
 */
export const recheckDelayMs = 500

/** Emits when the engine has reported which exec started a process and as which user, or after a timeout. */
export function settledExec(
  seen: ProcessObservation,
  execs: Pick<ExecView, 'isPending'>,
): Observable<unknown> {
  if (!execs.isPending(seen)) return of(true)
  return timer(0, recheckDelayMs).pipe(
    first((checks) => !execs.isPending(seen) || checks * recheckDelayMs >= maxInspectMs),
  )
}

// An exec is reported without its settings at most 5 s after its event; the queue of calls may take as long again.
const maxInspectMs = 10_000

/** No exec explains the process. */
export const noEntry: ExecEntry = { by: 'none', asRoot: false, privileged: false }

/** The exec that a process belongs to by its session; null if unknown. */
export type ExecOfSession = (query: {
  containerId: string
  /** When the container was started; epoch milliseconds, 0 where unknown. */
  runsSince: number
  process: ProcessKey & { session: number }
}) => { execId: string; entry: ProcessKey } | null
