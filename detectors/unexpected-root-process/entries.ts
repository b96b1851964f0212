import { BoundedMap } from '../../agent/lib/bounded-map.ts'
import type { ProcessObservation } from '../../agent/model/observation.ts'
import { entryKey, isEntry } from '../../agent/model/entry.ts'

/** Processes that entered containers from outside, and whether as root: that explains their root rights. */
export type Entries = {
  observe(seen: ProcessObservation): void
  /** The event key of the root entry that a process descends from; null if it did not enter as root. */
  rootEntryOf(seen: ProcessObservation): string | null
}

/** Bounded; the oldest entries are evicted first. Their descendants then get findings of their own. */
export function entries(max = 4_096): Entries {
  const enteredAsRoot = new BoundedMap<string, boolean>(max)

  return {
    observe(seen) {
      if (!isEntry(seen)) return
      const eventKey = entryKey(seen)
      // Later changes of its ids do not change how it entered.
      if (enteredAsRoot.has(eventKey)) return
      enteredAsRoot.set(eventKey, seen.process.containerUid === 0)
    },
    rootEntryOf({ container, origin }) {
      if (origin.via === 'init') return null
      const eventKey = entryKey({ container, origin })
      return enteredAsRoot.get(eventKey) === true ? eventKey : null
    },
  }
}
