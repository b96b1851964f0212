import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ControllerDirectory, CgroupDirectories } from './cgroup-directories.ts'
import { quotaV1 } from './cgroup-v1.ts'
import { quotaV2 } from './cgroup-v2.ts'
import { isVanished } from './open-file-cache.ts'
import { lowestLimit, limitOf, type ReadText } from './usage.ts'

/** The lowest limits of the cgroups above a container; null where there is none. */
export type LimitsAbove = { memoryBytes: number | null; cores: number | null; pids: number | null }

export type ParentLimits = {
  above(directories: CgroupDirectories): LimitsAbove
  /** Call it before each round: within a round, each cgroup is read once, however many containers are in it. */
  forget(): void
}

/**
 * The limits of a parent also apply to its children: a systemd slice, the CgroupParent of a container, the cgroup
 * that a nested engine runs in. The kernel reports the effective limit only for memory of version 1, in
 * `memory.stat`.
 */
export function parentLimits(): ParentLimits {
  const known = new Map<string, number | null>()

  function least(
    controller: ControllerDirectory | null,
    limit: (read: ReadText) => number | null,
  ): number | null {
    if (controller === null) return null
    return lowestLimit(directoriesAbove(controller).map((directory) => limitIn(directory, limit)))
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

// The object is the same for the life of its container.
const knownParents = new WeakMap<ControllerDirectory, string[]>()

function directoriesAbove(controller: ControllerDirectory): string[] {
  const known = knownParents.get(controller)
  if (known !== undefined) return known
  const above = Array.from({ length: controller.parents }, (_, up) =>
    join(controller.directory, '../'.repeat(up + 1)),
  )
  knownParents.set(controller, above)
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

/** The root of a hierarchy has no limits, and a parent may vanish before its child is known to be gone. */
function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'latin1')
  } catch (error) {
    if (isVanished(error)) return null
    throw error
  }
}
