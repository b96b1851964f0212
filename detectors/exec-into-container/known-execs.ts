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
  of(execId: string): KnownExec
  ended(execId: string): void
}

/** Bounded, the oldest make room. */
export function knownExecs(maxOpen = 10_000, maxEnded = 4_096): KnownExecs {
  const open = new Map<string, KnownExec>()
  const ended = new Map<string, KnownExec>()

  function get(execId: string): KnownExec | undefined {
    return open.get(execId) ?? ended.get(execId)
  }

  function of(execId: string): KnownExec {
    const known = get(execId)
    if (known !== undefined) return known
    const begun = { exec: null, caller: null, programs: [], end: null, judged: false, told: [] }
    put(open, execId, begun, maxOpen)
    return begun
  }

  return {
    get,
    of,
    ended(execId) {
      const known = open.get(execId)
      if (known === undefined) return
      open.delete(execId)
      put(ended, execId, known, maxEnded)
    },
  }
}

function put(execs: Map<string, KnownExec>, execId: string, known: KnownExec, max: number): void {
  execs.set(execId, known)
  if (execs.size > max) execs.delete(execs.keys().next().value as string)
}
