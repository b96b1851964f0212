import { dirname } from 'node:path'
import { detached } from '../../../lib/text.ts'

/** The directories in which the engine stores the layers of containers and images. */
export type Layers<Owner> = {
  /** `upper` holds a container's own changes: `…/overlay2/<id>/diff`, `…/snapshots/<n>/fs`. */
  add(upper: string, owner: Owner): void
  remove(owner: Owner | null): void
  /** Null for a layer without an owner, such as an image's; undefined for a path in no layer. */
  of(path: string): Owner | null | undefined
}

/** Learned from running containers, because engines use different directories; stores are remembered after they end. */
export function layers<Owner>(): Layers<Owner> {
  const owners = new Map<string, Owner>()
  const stores = new Set<string>()
  return {
    add(upper, owner) {
      // A slice of a mountinfo text, which would stay in memory.
      const layer = detached(dirname(upper))
      const store = dirname(layer)
      // A manually created mount can have any upper directory.
      if (!upper.startsWith('/') || store.split('/').length < minDepth) return
      owners.set(layer, owner)
      if (stores.size < maxStores) stores.add(detached(store))
    },
    remove(owner) {
      for (const [layer, other] of owners) if (other === owner) owners.delete(layer)
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

// Segments of a path, including the empty one before the first slash: `/var/lib/docker/overlay2` has five.
const minDepth = 3
const maxStores = 16
