import { dirname } from 'node:path'
import { detached } from '../../../lib/text.ts'

/** The folders in which the engine keeps what containers and images consist of. */
export type Layers<Owner> = {
  /** `upper` is where a container's own changes lie: `…/overlay2/<id>/diff`, `…/snapshots/<n>/fs`. */
  add(upper: string, owner: Owner): void
  remove(owner: Owner | null): void
  /** Null for a layer that is nobody's, such as an image's; undefined for what is in no layer. */
  of(path: string): Owner | null | undefined
}

/** Learned from the containers that run, because engines keep them in different places; kept when those have ended. */
export function layers<Owner>(): Layers<Owner> {
  const owners = new Map<string, Owner>()
  const stores = new Set<string>()
  return {
    add(upper, owner) {
      // It is a piece of a mountinfo.
      const layer = detached(dirname(upper))
      const store = dirname(layer)
      // Anything can be an upper directory of a mount that somebody made by hand.
      if (!upper.startsWith('/') || store.split('/').length < minDepth) return
      owners.set(layer, owner)
      if (stores.size < maxStores) stores.add(detached(store))
    },
    remove(owner) {
      for (const [layer, of] of owners) if (of === owner) owners.delete(layer)
    },
    of(path) {
      for (let folder = dirname(path); folder !== '/' && folder !== '.'; folder = dirname(folder)) {
        const owner = owners.get(folder)
        if (owner !== undefined) return owner
        if (stores.has(folder)) return null
      }
      return undefined
    },
  }
}

// `/var/lib/docker/overlay2` has four parts, the empty one before the first slash counted.
const minDepth = 3
const maxStores = 16
