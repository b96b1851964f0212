import type { Caller, ExecEnded, ExecObservation, ProcessObservation } from '../../agent/model/observation.ts'

/** What there is to tell of one exec, in whichever order it became known; the kernel is faster than the engine. */
export type KnownExec = {
  exec: ExecObservation | null
  caller: Caller | null
  /** The first programs of its tree. */
  programs: ProcessObservation['process'][]
  end: ExecEnded | null
  /** Its rules were looked for; a caller that becomes known now is late. */
  judged: boolean
  /** The rules that it was told under; none when it was not. */
  told: readonly string[]
}

/** Execs by id: those going on, and for a while those that have ended, whose findings are completed. */
export type KnownExecs = {
  get(execId: string): KnownExec | undefined
  /** Begins with nothing where the id is new. */
  of(execId: string, time: number): KnownExec
  started(execId: string, exec: ExecObservation): KnownExec
  ended(execId: string, end: ExecEnded): void
}

/**
 * Bounded, the oldest make room. Who executes something by the thousand fills no memory with it for longer than it can
 * be of use: what has ended is kept for a minute, and so is what only its programs or its caller tell of, which the
 * engine may never do.
 */
export function knownExecs(maxOpen = 10_000, maxOthers = 4_096): KnownExecs {
  const open = new Map<string, KnownExec>()
  const heard = new Map<string, Kept>()
  const ended = new Map<string, Kept>()

  function get(execId: string): KnownExec | undefined {
    return open.get(execId) ?? (heard.get(execId) ?? ended.get(execId))?.known
  }

  function of(execId: string, time: number): KnownExec {
    const known = get(execId)
    if (known !== undefined) return known
    const begun = { exec: null, caller: null, programs: [], end: null, judged: false, told: [] }
    keep(heard, execId, { known: begun, time }, maxOthers)
    return begun
  }

  return {
    get,
    of,
    started(execId, exec) {
      const known = of(execId, exec.time)
      known.exec = exec
      if (heard.delete(execId)) put(open, execId, known, maxOpen)
      return known
    },
    ended(execId, end) {
      const known = get(execId)
      if (known === undefined) return
      known.end = end
      open.delete(execId)
      heard.delete(execId)
      keep(ended, execId, { known, time: end.time }, maxOthers)
    },
  }
}

/** Since when it is only kept for what may still come. */
type Kept = { known: KnownExec; time: number }

// Engines are asked for seconds, and callers are told of with the exec; later than this only what it left running goes on.
const keepMs = 60_000

function keep(execs: Map<string, Kept>, execId: string, kept: Kept, max: number): void {
  execs.delete(execId)
  put(execs, execId, kept, max)
  for (const [id, { time }] of execs) {
    if (kept.time - time <= keepMs) break
    execs.delete(id)
  }
}

function put<Value>(execs: Map<string, Value>, execId: string, value: Value, max: number): void {
  execs.set(execId, value)
  if (execs.size > max) execs.delete(execs.keys().next().value as string)
}
