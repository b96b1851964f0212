import { readFileSync, statfsSync } from 'node:fs'
import type { ProcessTable } from '../processes/table/table.ts'
import { findHierarchyMount, type HierarchyMount, parseHierarchies } from './hierarchies.ts'
import { findHolders, type Holders } from './holders.ts'
import { hierarchyReaders, type Reader } from './file-readers.ts'
import type { FileActivityWatch } from './file-activity-watch.ts'
import { readValue } from './value.ts'

/** A hierarchy created since the start. */
export type NewHierarchy = {
  name: string
  /** When the poll found it, in epoch milliseconds. */
  time: number
  /** Null if no visible process has it mounted. */
  mount: HierarchyMount | null
  /** Processes that have it mounted; empty if the host has. */
  holders: Holders['processes']
}

export type HierarchyWatch = {
  /** Updates the list of hierarchies. */
  refresh(): void
  /** Removes and returns the hierarchies found so far; finding the holders of one takes time. */
  takeNew(): NewHierarchy[]
  /** Readers for the files in the roots of the hierarchies that are reachable now. */
  readers(): Reader[]
  /** Why fanotify does not watch some of them. */
  problems(): string[]
  /** The release agent that a hierarchy had at the start. */
  hostAgentOf(name: string): string | null
}

export type HierarchyWatchOptions = {
  table: ProcessTable
  procRoot: string
  fileActivity: FileActivityWatch | null
  signal: AbortSignal
  now: () => number
  fail: (error: unknown) => void
}

type Known = {
  place: { mountPoint: string; base: string } | null
  isLocating: boolean
  /** Epoch milliseconds. */
  locatedAt: number
  problem: string
}

// Searching all mount namespaces is expensive.
const relocateMs = 30_000

/** Tracks the cgroup v1 hierarchies and the paths by which they can be reached. */
export function hierarchyWatch(options: HierarchyWatchOptions): HierarchyWatch {
  const { table, procRoot, fileActivity, signal, now, fail } = options
  const known = new Map<string, Known>()
  const hostAgents = new Map<string, string | null>()
  let newOnes: NewHierarchy[] = []
  let isFirst = true

  function refresh(): void {
    const names = new Set(parseHierarchies(readHierarchies(procRoot)))
    for (const name of known.keys()) if (!names.has(name)) known.delete(name)
    for (const name of names) {
      const one = known.get(name)
      if (one === undefined) locate(name, isFirst ? null : now())
      else if (one.place === null ? one.locatedAt < now() - relocateMs : !isHierarchy(one.place.base))
        locate(name, null)
    }
    isFirst = false
  }

  /** `time` is null for hierarchies that are not new. */
  function locate(name: string, time: number | null): void {
    if (known.get(name)?.isLocating === true) return
    known.set(name, { place: null, isLocating: true, locatedAt: now(), problem: '' })
    const hostMount = findHierarchyMount(readFileSync(`${procRoot}/self/mountinfo`, 'utf8'), name)
    if (hostMount !== null) return settle(name, time, { mount: hostMount, processes: [] })
    const hostMountNamespace = table.get(1)?.namespaces.mount ?? 0
    findHolders(name, { table, procRoot, hostMountNamespace, signal }).then(
      (holders) => settle(name, time, holders),
      (error: unknown) => {
        if (!signal.aborted) fail(error)
      },
    )
  }

  function settle(name: string, time: number | null, holders: Holders | null): void {
    if (signal.aborted) return
    const { mount = null, processes = [] } = holders ?? {}
    const place = mount?.isWhole === true ? placeOf(mount, processes[0]?.pid) : null
    if (time !== null) newOnes.push({ name, time, mount, holders: processes })
    // It may have been removed during the search.
    if (!known.has(name)) return
    const problem = place === null ? '' : (fileActivity?.watchHierarchy(name, place.base) ?? '')
    known.set(name, { place, isLocating: false, locatedAt: now(), problem })
    if (time === null && place !== null && !hostAgents.has(name))
      hostAgents.set(name, readValue(`${place.base}/release_agent`))
  }

  function placeOf({ mountPoint }: HierarchyMount, holder: number | undefined) {
    const base = holder === undefined ? mountPoint : `${procRoot}/${holder}/root${mountPoint}`
    return isHierarchy(base) ? { mountPoint, base } : null
  }

  function takeNew(): NewHierarchy[] {
    const all = newOnes
    newOnes = []
    return all
  }

  return {
    refresh,
    takeNew,
    readers: () =>
      [...known].flatMap(([name, { place }]) =>
        place !== null && isHierarchy(place.base) ? hierarchyReaders(name, place.mountPoint, place.base) : [],
      ),
    problems: () =>
      [...known].flatMap(([name, { problem }]) =>
        problem === '' ? [] : [`the cgroups of ${name} are only polled every second: ${problem}`],
      ),
    hostAgentOf: (name) => hostAgents.get(name) ?? null,
  }
}

/** Any process's file lists all hierarchies. Reads that of pid 1, or our own if the kernel hides other processes. */
function readHierarchies(procRoot: string): string {
  try {
    return readFileSync(`${procRoot}/1/cgroup`, 'utf8')
  } catch {
    return readFileSync(`${procRoot}/self/cgroup`, 'utf8')
  }
}

/** Whether a path leads to a cgroup v1 hierarchy (linux/magic.h): a container may have put something else there. */
function isHierarchy(path: string): boolean {
  try {
    return statfsSync(path).type === 0x27e0eb
  } catch {
    return false
  }
}
