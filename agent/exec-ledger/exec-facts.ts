import { BoundedMap } from '../lib/bounded-map.ts'
import { type ExecFacts, noFacts } from '../model/exec-view.ts'
import type { ExecEnded, ExecObservation, Observation, ProcessObservation } from '../model/observation.ts'

/** The reports about each exec by its id: of running execs, and of those that ended recently. */
export type ExecFactsById = {
  record(observation: Observation): void
  of(execId: string): ExecFacts | undefined
}

/**
 * Bounded; the oldest entries are evicted first. Thousands of execs in a row hold memory only while the entries are
 * useful: an ended exec stays for a minute. So does one known only by its programs or its caller, because the engine
 * may never report it: a process can claim any id. That is why these facts explain no process (see `KnownExec`).
 */
export function execFactsById(maxRunning = 10_000, maxOthers = 4_096): ExecFactsById {
  const running = new BoundedMap<string, Facts>(maxRunning)
  const unconfirmed = new BoundedMap<string, TimedFacts>(maxOthers)
  const ended = new BoundedMap<string, TimedFacts>(maxOthers)

  function of(execId: string): Facts | undefined {
    return running.get(execId) ?? (unconfirmed.get(execId) ?? ended.get(execId))?.facts
  }

  function getOrCreate(execId: string, time: number): Facts {
    const known = of(execId)
    if (known !== undefined) return known
    const facts: Facts = { ...noFacts }
    putTimed(unconfirmed, execId, { facts, time })
    return facts
  }

  function started(exec: ExecObservation): void {
    // An image may hide the id of its execs: nothing else can be found out about those.
    if (exec.execId === '') return
    const facts = getOrCreate(exec.execId, exec.time)
    facts.exec = exec
    if (unconfirmed.delete(exec.execId)) running.set(exec.execId, facts)
  }

  function ran({ change, origin, process, time }: ProcessObservation): void {
    if (change === 'ids-changed' || origin.via === 'init' || origin.execId === '') return
    const facts = getOrCreate(origin.execId, time)
    if (facts.programs.length < maxPrograms) facts.programs = [...facts.programs, process]
  }

  function finished(end: ExecEnded): void {
    const facts = of(end.execId)
    if (facts === undefined) return
    facts.end = end
    running.delete(end.execId)
    unconfirmed.delete(end.execId)
    putTimed(ended, end.execId, { facts, time: end.time })
  }

  return {
    of,
    record(observation) {
      if (observation.kind === 'exec') started(observation)
      else if (observation.kind === 'exec-ended') finished(observation)
      else if (observation.kind === 'process') ran(observation)
      else if (observation.kind === 'exec-caller')
        getOrCreate(observation.execId, observation.time).caller = observation.caller
    },
  }
}

type Facts = { -readonly [Key in keyof ExecFacts]: ExecFacts[Key] }

/** Facts that expire a while after `time`. */
type TimedFacts = { facts: Facts; time: number }

function putTimed(execs: BoundedMap<string, TimedFacts>, execId: string, entry: TimedFacts): void {
  execs.setNewest(execId, entry)
  for (const [id, { time }] of execs) {
    if (entry.time - time <= keepMs) break
    execs.delete(id)
  }
}

// Engine calls take seconds, and callers arrive with the exec. Later updates come only from processes it left running.
const keepMs = 60_000

// What the caller wanted to run is among the first; what a build or a test suite runs after that is not evidence.
const maxPrograms = 5
