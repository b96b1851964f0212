import type { Caller, ExecEnded, ExecObservation, ProcessObservation } from '../../agent/model/observation.ts'

/** What is known of one exec, in whatever order it arrives: the kernel is often faster than the engine. */
export type ExecRecord = {
  exec: ExecObservation | null
  caller: Caller | null
  /** The first programs of its process tree. */
  programs: ProcessObservation['process'][]
  end: ExecEnded | null
  /** Its rules were evaluated; a caller that arrives now is late. */
  judged: boolean
  /** The rules it was reported under; empty if it was not reported. */
  reportedRules: readonly string[]
}

/** Execs by id: running ones, and recently ended ones whose findings can still be updated. */
export type ExecCache = {
  get(execId: string): ExecRecord | undefined
  /** Creates an empty record for a new id. */
  getOrCreate(execId: string, time: number): ExecRecord
  started(execId: string, exec: ExecObservation): ExecRecord
  ended(execId: string, end: ExecEnded): void
}

/**
 * Bounded; the oldest entries are evicted first. Thousands of execs in a row hold memory only while the entries are
 * useful: an ended exec stays for a minute. So does one known only by its programs or its caller, because the engine
 * may never report it.
 */
export function execCache(maxRunning = 10_000, maxOthers = 4_096): ExecCache {
  const running = new Map<string, ExecRecord>()
  const unconfirmed = new Map<string, TimedRecord>()
  const ended = new Map<string, TimedRecord>()

  function get(execId: string): ExecRecord | undefined {
    return running.get(execId) ?? (unconfirmed.get(execId) ?? ended.get(execId))?.record
  }

  function getOrCreate(execId: string, time: number): ExecRecord {
    const known = get(execId)
    if (known !== undefined) return known
    const record = { exec: null, caller: null, programs: [], end: null, judged: false, reportedRules: [] }
    putTimed(unconfirmed, execId, { record, time }, maxOthers)
    return record
  }

  return {
    get,
    getOrCreate,
    started(execId, exec) {
      const record = getOrCreate(execId, exec.time)
      record.exec = exec
      if (unconfirmed.delete(execId)) put(running, execId, record, maxRunning)
      return record
    },
    ended(execId, end) {
      const record = get(execId)
      if (record === undefined) return
      record.end = end
      running.delete(execId)
      unconfirmed.delete(execId)
      putTimed(ended, execId, { record, time: end.time }, maxOthers)
    },
  }
}

/** A record that expires a while after `time`. */
type TimedRecord = { record: ExecRecord; time: number }

// Engine calls take seconds, and callers arrive with the exec. Later updates come only from processes it left running.
const keepMs = 60_000

function putTimed(execs: Map<string, TimedRecord>, execId: string, entry: TimedRecord, max: number): void {
  execs.delete(execId)
  put(execs, execId, entry, max)
  for (const [id, { time }] of execs) {
    if (entry.time - time <= keepMs) break
    execs.delete(id)
  }
}

function put<Value>(execs: Map<string, Value>, execId: string, value: Value, max: number): void {
  execs.set(execId, value)
  if (execs.size > max) execs.delete(execs.keys().next().value as string)
}
