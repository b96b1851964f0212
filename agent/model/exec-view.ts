import { first, type Observable, of, timer } from 'rxjs'
import type { ExecObservation, ProcessObservation } from './observation.ts'
import type { ProcessKey } from './process-key.ts'

/** What the execs of the Docker API explain of a process; asked when the engine has had its time to tell of one. */
export type ExecView = {
  entryOf(seen: ProcessObservation): ExecEntry
  /** Whether the engine has yet to say which exec brought it, or as which user that runs. */
  isPending(seen: ProcessObservation): boolean
  /** Whether the exec was known before this run of the daemon, which may have told more of it than is known now. */
  isFromBefore(exec: Pick<ExecObservation, 'container' | 'execId'>): boolean
}

/** How a process came in: `exec`: by just this exec; `time`: while this one went on, and nothing says by which. */
export type ExecEntry = { by: 'exec' | 'time' | 'none'; asRoot: boolean; privileged: boolean }

/**
 * What no exec explains is asked for once more after these milliseconds: on a host that is short of processors a timer may
 * be due before what has long arrived is read.
 */
export const secondLookMs = 500

/** Emits when the engine has said which exec brought a process and as which user, or has had its time to. */
export function settledExec(
  seen: ProcessObservation,
  execs: Pick<ExecView, 'isPending'>,
): Observable<unknown> {
  if (!execs.isPending(seen)) return of(true)
  return timer(0, secondLookMs).pipe(
    first((looks) => !execs.isPending(seen) || looks * secondLookMs >= longestInspectMs),
  )
}

// An exec is reported without its settings 5 s after its event at the latest; the queue of calls may be as long again.
const longestInspectMs = 10_000

/** No exec explains it. */
export const noEntry: ExecEntry = { by: 'none', asRoot: false, privileged: false }

/** Which exec a process belongs to by its session, as far as anybody knows. */
export type ExecOfSession = (asked: {
  containerId: string
  /** When the container was started; epoch milliseconds, 0 where unknown. */
  runsSince: number
  process: ProcessKey & { session: number }
}) => { execId: string; entry: ProcessKey } | null
