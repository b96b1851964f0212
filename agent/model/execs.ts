import type { ExecObservation, ProcessObservation } from './observation.ts'

/** What the execs of the Docker API explain of a process; asked when the engine has had its time to tell of one. */
export type ExecView = {
  entryOf(seen: ProcessObservation): ExecEntry
  /** Whether the exec that brought it was announced, and the engine has yet to say as which user it runs. */
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

/** No exec explains it. */
export const noEntry: ExecEntry = { by: 'none', asRoot: false, privileged: false }
