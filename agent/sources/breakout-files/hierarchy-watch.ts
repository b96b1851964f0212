import { readFileSync, statfsSync } from 'node:fs'
import type { ProcessTable } from '../processes/table/table.ts'
import { findHierarchyMount, type HierarchyMount, parseHierarchies } from './hierarchies.ts'
import { findHolders, type Holders } from './holders.ts'
import { hierarchyReaders, type Reader } from './file-readers.ts'
import type { TouchWatch } from './file-activity-watch.ts'
import { readValue } from './value.ts'

/** A hierarchy that has come since the start. */
export type NewHierarchy = {
  name: string
  /** Epoch milliseconds of the look that found it. */
  time: number
  /** Null where nobody has it mounted, any more or as far as we may see. */
  mount: HierarchyMount | null
  /** Who has, where it is not the host. */
  holders: Holders['processes']
}

export type HierarchyWatch = {
  /** Looks which there are. */
  look(): void
  /** Takes out what earlier looks found: who holds a hierarchy is not known at once. */
  takeNew(): NewHierarchy[]
  /** How to read the files in the roots of those that can be reached now. */
  readers(): Reader[]
  /** Why some are not watched by fanotify. */
  problems(): string[]
  /** The agent that a hierarchy had at the start. */
  hostAgentOf(name: string): string | null
}

export type HierarchyWatchOptions = {
  table: ProcessTable
  procRoot: string
  touches: TouchWatch | null
  signal: AbortSignal
  now: () => number
  fail: (error: unknown) => void
}

type Known = {
  place: { mountPoint: string; base: string } | null
  isSought: boolean
  /** Epoch milliseconds. */
  soughtAt: number
  problem: string
}

// Looking through all mount namespaces is for seldom.
const seekAgainMs = 30_000

/** Keeps up with the hierarchies of version 1 and with where they can be reached. */
export function hierarchyWatch(options: HierarchyWatchOptions): HierarchyWatch {
  const { table, procRoot, touches, signal, now, fail } = options
  const known = new Map<string, Known>()
  const hostAgents = new Map<string, string | null>()
  let found: NewHierarchy[] = []
  let isFirst = true

  function look(): void {
    const names = new Set(parseHierarchies(readHierarchies(procRoot)))
    for (const name of known.keys()) if (!names.has(name)) known.delete(name)
    for (const name of names) {
      const one = known.get(name)
      if (one === undefined) seek(name, isFirst ? null : now())
      else if (one.place === null ? one.soughtAt < now() - seekAgainMs : !isHierarchy(one.place.base))
        seek(name, null)
    }
    isFirst = false
  }

  /** `time` is that of a hierarchy which is new. */
  function seek(name: string, time: number | null): void {
    if (known.get(name)?.isSought === true) return
    known.set(name, { place: null, isSought: true, soughtAt: now(), problem: '' })
    const ofHost = findHierarchyMount(readFileSync(`${procRoot}/self/mountinfo`, 'utf8'), name)
    if (ofHost !== null) return settle(name, time, { mount: ofHost, processes: [] })
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
    if (time !== null) found.push({ name, time, mount, holders: processes })
    // It may have gone while it was sought.
    if (!known.has(name)) return
    const problem = place === null ? '' : (touches?.watchHierarchy(name, place.base) ?? '')
    known.set(name, { place, isSought: false, soughtAt: now(), problem })
    if (time === null && place !== null && !hostAgents.has(name))
      hostAgents.set(name, readValue(`${place.base}/release_agent`))
  }

  function placeOf({ mountPoint }: HierarchyMount, holder: number | undefined) {
    const base = holder === undefined ? mountPoint : `${procRoot}/${holder}/root${mountPoint}`
    return isHierarchy(base) ? { mountPoint, base } : null
  }

  function takeNew(): NewHierarchy[] {
    const all = found
    found = []
    return all
  }

  return {
    look,
    takeNew,
    readers: () =>
      [...known].flatMap(([name, { place }]) =>
        place !== null && isHierarchy(place.base) ? hierarchyReaders(name, place.mountPoint, place.base) : [],
      ),
    problems: () =>
      [...known].flatMap(([name, { problem }]) =>
        problem === '' ? [] : [`the cgroups of ${name} are looked at each second only: ${problem}`],
      ),
    hostAgentOf: (name) => hostAgents.get(name) ?? null,
  }
}

/** Of the host's first process: all hierarchies are in anybody's file, but some kernels hide others' files. */
function readHierarchies(procRoot: string): string {
  try {
    return readFileSync(`${procRoot}/1/cgroup`, 'utf8')
  } catch {
    return readFileSync(`${procRoot}/self/cgroup`, 'utf8')
  }
}

/** Whether a path, at which a container may have put something else, leads to a hierarchy of version 1 (linux/magic.h). */
function isHierarchy(path: string): boolean {
  try {
    return statfsSync(path).type === 0x27e0eb
  } catch {
    return false
  }
}
