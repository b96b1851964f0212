import { cgroupFields } from '../../../../ebpf/layout.ts'
import { cgroupNames, readNumber } from '../../../../ebpf/record.ts'
import { twoGenerationCache } from '../../../../lib/two-generation-cache.ts'
import { type Cgroup, cgroupOf } from '../../attribution/cgroup.ts'

/** The cgroups of records by id, so that names are decoded once, not for each record of a cgroup. */
export type CgroupCache = {
  /** The cgroup whose names `readCgroups` has written to a record. */
  at(bytes: Buffer, offset: number): Cgroup
  all(): Iterable<CountedCgroup>
}

/** A cgroup with the budget key of its events. */
export type CountedCgroup = { cgroup: Cgroup; budgetKey: bigint }

/** `onNewGeneration` is called when entries that were not used lately are dropped. */
export function cgroupCache(onNewGeneration: () => void): CgroupCache {
  const cgroups = twoGenerationCache<number, CountedCgroup>(maxCgroups)

  function at(bytes: Buffer, offset: number): Cgroup {
    const id = readNumber(bytes, offset + cgroupFields.cgroupId)
    const known = cgroups.get(id)
    if (known !== undefined) return known.cgroup
    const { names, truncated } = cgroupNames(bytes, offset)
    const cgroup = cgroupOf(names, truncated)
    const budgetKey = bytes.readBigUInt64LE(offset + cgroupFields.budgetKey)
    if (cgroups.set(id, { cgroup, budgetKey })) onNewGeneration()
    return cgroup
  }

  return { at, all: () => cgroups.values() }
}

// A host has hundreds, of 1 KB each; every container that ever ran leaves one.
const maxCgroups = 512
