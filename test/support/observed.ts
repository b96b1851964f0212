import { NEVER } from 'rxjs'
import type { Memory, Observed } from '../../agent/model/detector.ts'
import { noEntry } from '../../agent/model/exec-view.ts'

/** A host on which nothing happens; tests replace the streams they are about. */
export const silent: Observed = {
  dockerEvents$: NEVER,
  containers$: NEVER,
  execs$: NEVER,
  execEnds$: NEVER,
  execCallers$: NEVER,
  processes$: NEVER,
  processKills$: NEVER,
  oomVictims$: NEVER,
  resources$: NEVER,
  runtimeFiles$: NEVER,
  runtimeFileOpens$: NEVER,
  masks$: NEVER,
  usermodeHelpers$: NEVER,
  engineVersions$: NEVER,
  breakoutFiles$: NEVER,
  sourceStatuses$: NEVER,
  eventsLost$: NEVER,
  execs: { entryOf: () => noEntry, isPending: () => false, isFromBefore: () => false },
  entriesToldAfter: () => 0,
  memory: emptyMemory(),
}

/** A memory that starts empty and ends with the test. */
export function emptyMemory(): Memory {
  const state = new Map<string, string>()
  return {
    get: (key) => state.get(key) ?? null,
    set: (key, value) => void state.set(key, value),
    delete: (key) => void state.delete(key),
    keys: (prefix) => [...state.keys()].filter((key) => key.startsWith(prefix)).toSorted(),
  }
}
