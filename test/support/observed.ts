import { NEVER, type Observable } from 'rxjs'
import type { Memory, Observed } from '../../agent/model/detector.ts'
import type { ObservationKind, ObservationOf } from '../../agent/model/observation.ts'
import { noEntry } from '../../agent/model/exec-view.ts'

type Streams = Partial<{ [Kind in ObservationKind]: Observable<ObservationOf<Kind>> }>

/** What a detector sees when only these streams have observations; `rest` replaces execs, memory and so on. */
export function observing(streams: Streams, rest: Partial<Omit<Observed, 'on'>> = {}): Observed {
  return {
    on: <Kind extends ObservationKind>(kind: Kind) => streams[kind] ?? NEVER,
    execs: { factsOf: () => undefined, entryOf: () => noEntry, isPending: () => false },
    memory: emptyMemory(),
    ...rest,
  }
}

/** A host on which nothing happens. */
export const silent: Observed = observing({})

/** Detector state that starts empty and is discarded after the test. */
export function emptyMemory(): Memory {
  const state = new Map<string, string>()
  return {
    get: (key) => state.get(key) ?? null,
    set: (key, value) => void state.set(key, value),
    delete: (key) => void state.delete(key),
    keys: (prefix) => [...state.keys()].filter((key) => key.startsWith(prefix)).toSorted(),
  }
}
