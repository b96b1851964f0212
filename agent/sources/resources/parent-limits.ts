import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Place, Places } from './cgroup-places.ts'
import { quotaV1 } from './cgroup-v1.ts'
import { quotaV2 } from './cgroup-v2.ts'
import { isVanished } from './open-file-cache.ts'
import { leastLimit, limitOf, type ReadText } from './usage.ts'

/** The least that the cgroups above a container allow it; null where they allow all that there is. */
export type LimitsAbove = { memoryBytes: number | null; cores: number | null; pids: number | null }

export type ParentLimits = {
  above(places: Places): LimitsAbove
  /** To be called before each round: until then a cgroup is read once, whatever number of containers is in it. */
  forget(): void
}

/**
 * A limit of a parent binds its children too: a slice of systemd, the CgroupParent of a container, the cgroup that a
 * nested engine runs in. The kernel tells the sum of it only for memory of version 1, in `memory.stat`.
 */
export function parentLimits(): ParentLimits {
  const known = new Map<string, number | null>()

  function least(place: Place | null, limit: (read: ReadText) => number | null): number | null {
    if (place === null) return null
    return leastLimit(directoriesAbove(place).map((directory) => limitIn(directory, limit)))
  }

  function limitIn(directory: string, limit: (read: ReadText) => number | null): number | null {
    // One directory may hold several controllers.
    const key = `${limit.name} ${directory}`
    const before = known.get(key)
    if (before !== undefined) return before
    const found = limit((name) => readIfThere(join(directory, name)))
    known.set(key, found)
    return found
  }

  return {
    above: ({ memory, cpu, pids }) => ({
      memoryBytes: memory?.version === 2 ? least(memory, memoryLimit) : null,
      cores: least(cpu, cpu?.version === 2 ? coresV2 : coresV1),
      pids: least(pids, pidsLimit),
    }),
    forget: () => known.clear(),
  }
}

// A place is the same object for the life of its container.
const directories = new WeakMap<Place, string[]>()

function directoriesAbove(place: Place): string[] {
  const known = directories.get(place)
  if (known !== undefined) return known
  const above = Array.from({ length: place.parents }, (_, up) => join(place.directory, '../'.repeat(up + 1)))
  directories.set(place, above)
  return above
}

function memoryLimit(read: ReadText): number | null {
  return readLimit(read, 'memory.max')
}

function pidsLimit(read: ReadText): number | null {
  return readLimit(read, 'pids.max')
}

function coresV1(read: ReadText): number | null {
  return quotaV1(read('cpu.cfs_quota_us'), read('cpu.cfs_period_us'))
}

function coresV2(read: ReadText): number | null {
  return quotaV2(read('cpu.max'))
}

function readLimit(read: ReadText, name: string): number | null {
  const text = read(name)
  return text === null ? null : limitOf(name, text)
}

/** The root of a hierarchy has no limits, and a parent may be gone before its child is missed. */
function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'latin1')
  } catch (error) {
    if (isVanished(error)) return null
    throw error
  }
}
