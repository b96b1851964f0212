import type { ProcessObservation } from '../../agent/model/observation.ts'
import { entryAct, isEntry } from '../exec-into-container/entry.ts'

/** Who came into containers from outside, and whether as root: then root explains itself by that. */
export type Entries = {
  observe(seen: ProcessObservation): void
  /** The act of the entry that a process descends from; null where nobody came as root. */
  actOf(seen: ProcessObservation): string | null
}

/** Bounded, the oldest make room: what descends from them then speaks for itself. */
export function entries(max = 4_096): Entries {
  const cameAsRoot = new Map<string, boolean>()

  return {
    observe(seen) {
      if (!isEntry(seen)) return
      const act = entryAct(seen)
      // What it becomes later is not how it came.
      if (cameAsRoot.has(act)) return
      cameAsRoot.set(act, seen.process.containerUid === 0)
      if (cameAsRoot.size > max) cameAsRoot.delete(cameAsRoot.keys().next().value ?? '')
    },
    actOf({ container, origin }) {
      if (origin.via === 'init') return null
      const act = entryAct({ container, origin })
      return cameAsRoot.get(act) === true ? act : null
    },
  }
}
