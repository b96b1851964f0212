import type { Caller, ExecEnded, ExecObservation, ProcessObservation } from '../../agent/model/observation.ts'

/** What is known of one exec, in whichever order it became known; the kernel is faster than the engine. */
export type KnownExec = {
  exec: ExecObservation | null
  /** The container that an event of the engine names for it; empty when none did. */
  announcedIn: string
  caller: Caller | null
  /** The first programs of its tree. */
  programs: ProcessObservation['process'][]
  end: ExecEnded | null
  /** Its rules were looked for; a caller that becomes known now is late. */
  judged: boolean
  /** The rules that it was told under; none when it was not. */
  told: readonly string[]
}

/** Execs by id: those going on, and for a while those that have ended. Bounded, the oldest make room. */
export type ExecLedger = {
  get(execId: string): KnownExec | undefined
  /** Begins with nothing where the id is new. */
  of(execId: string): KnownExec
  ended(execId: string): void
  /** Whether an exec of the Docker API explains a process that came from outside. */
  explains(entered: ProcessObservation): boolean
}

export function execLedger(maxOpen = 10_000, maxEnded = 4_096): ExecLedger {
  const open = new Map<string, KnownExec>()
  const ended = new Map<string, KnownExec>()

  function get(execId: string): KnownExec | undefined {
    return open.get(execId) ?? ended.get(execId)
  }

  function of(execId: string): KnownExec {
    const known = get(execId)
    if (known !== undefined) return known
    const begun = {
      exec: null,
      announcedIn: '',
      caller: null,
      programs: [],
      end: null,
      judged: false,
      told: [],
    }
    put(open, execId, begun, maxOpen)
    return begun
  }

  function explains({ container, origin }: ProcessObservation): boolean {
    if (origin.via === 'init') return true
    const { execId, entry } = origin
    const named = execId === '' ? undefined : get(execId)
    if (named !== undefined && isOf(named, container) && wasGoingOn(named, entry.startedAt)) return true
    // Its ancestry may not have been seen, and an image may hide the ids of its execs.
    return [...open.values(), ...ended.values()].some(
      ({ exec, end }) =>
        exec?.container.id === container.id &&
        wasGoingOn({ end }, entry.startedAt) &&
        (exec.settings?.pid === entry.pid || (exec.execId === '' && isNear(exec, entry.startedAt))),
    )
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
    explains,
  }
}

function put(execs: Map<string, KnownExec>, execId: string, known: KnownExec, max: number): void {
  execs.set(execId, known)
  if (execs.size > max) execs.delete(execs.keys().next().value as string)
}

/** An event alone may be believed where no label of the image can speak in the engine's name. */
function isOf({ exec, announcedIn }: KnownExec, { id, labels }: ProcessObservation['container']): boolean {
  if (exec !== null) return exec.container.id === id
  return announcedIn === id && !Object.hasOwn(labels, 'execID')
}

// Process start times come in clock ticks (10 ms), events in the engine's own time.
const slackMs = 1_000

/** An id that is used again when its exec has ended is not the engine's doing. */
function wasGoingOn({ end }: Pick<KnownExec, 'end'>, time: number): boolean {
  return end === null || time <= end.time + slackMs
}

function isNear({ time }: ExecObservation, startedAt: number): boolean {
  return Math.abs(time - startedAt) <= slackMs
}
