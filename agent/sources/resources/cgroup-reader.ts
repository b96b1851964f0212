import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../../lib/errors.ts'
import type { Container, ContainerDetails } from '../../model/container.ts'
import type { FirstProcess } from '../../model/observation.ts'
import { parseCgroupMounts } from './cgroup-mounts.ts'
import { type CgroupMode, hostMounts, locateCgroup, modeOf, type Places } from './cgroup-places.ts'
import { type EventFiles, eventFilesOf, watchEventFiles } from './event-files.ts'
import { readFirstProcess } from './first-process.ts'
import { descriptorBudget, isVanished } from './open-file-cache.ts'
import { type OpenCgroup, openCgroup } from './open-cgroup.ts'
import { parentLimits } from './parent-limits.ts'
import { filesOfTrigger, type PressureTrigger, pressureTrigger } from './pressure-trigger.ts'
import type { Usage } from './usage.ts'

export type CgroupReading =
  /**
   * `missing` names the controllers that this kernel lacks; their part of the usage is empty. `slow` is why the
   * container costs more or is told of later than it should; empty when all is well.
   */
  | {
      outcome: 'read'
      usage: Usage
      firstProcess: FirstProcess | null
      missing: readonly string[]
      slow: string
    }
  | { outcome: 'vanished' }
  /** No such process, or one in no cgroup of this container: the engine may be on another host. */
  | { outcome: 'not-here' }
  | { outcome: 'unreadable'; reason: string }

export type CgroupReader = {
  /** Null when the host has no cgroups that count anything. */
  mode: CgroupMode | null
  read(container: Container): CgroupReading
  /** Whether a container that the kernel announced has something new to tell. */
  hasNews(id: string): boolean
  /** Whether its files are kept open, so that a look costs next to nothing. */
  isOpen(id: string): boolean
  /** Begins a round: closes what is open for containers other than these, and takes no limit above them as known. */
  retain(ids: ReadonlySet<string>): void
  close(): void
}

/** `/proc` and `/sys/fs/cgroup`, or where they are mounted for this process. */
export type KernelPaths = { procRoot: string; cgroupRoot: string }

export type CgroupReaderOptions = KernelPaths & {
  /** The kernel announces that something has happened to a container that was read before. */
  onNotice: (id: string) => void
  /** How the kernel is asked to announce pressure. */
  triggerOf?: (path: string, onPressure: () => void) => PressureTrigger | null
  /** How often pressure of CPU and IO and block IO are read: at every reading of a container, every second, … */
  shownEvery?: number
  /** How many files may be kept open. Those of the containers beyond are opened each time: 0.2 ms rather than 0.04 ms. */
  maxFiles?: number
}

/** Reads what containers use from the files of their cgroups, whichever version and driver the host has. */
export function cgroupReader(options: CgroupReaderOptions): CgroupReader {
  const { procRoot, cgroupRoot, onNotice, triggerOf = pressureTrigger } = options
  const { maxFiles = descriptorBudget(procRoot), shownEvery = 1 } = options
  const mountinfo = readFileSync(join(procRoot, 'self/mountinfo'), 'latin1')
  const mounts = hostMounts(parseCgroupMounts(mountinfo, cgroupRoot))
  const mode = modeOf(mounts)
  const kept = new Map<string, Kept>()
  const parents = parentLimits()
  let files = 0
  // One container read proves that the engine is on this host: after that, a process not found has ended.
  let isLocal = false
  const absent = (): CgroupReading => ({ outcome: isLocal ? 'vanished' : 'not-here' })

  function open(id: string, pid: number): Kept | null {
    const found = kept.get(id)
    if (found?.pid === pid) return found
    release(id)
    const places = locateCgroup(mounts, readFileSync(join(procRoot, String(pid), 'cgroup'), 'latin1'), id)
    if (places === null) return null
    const cgroup = openCgroup(places, { parents, shownEvery })
    const opened: Kept = {
      pid,
      details: null,
      places,
      cgroup,
      files: 0,
      watching: null,
      trigger: null,
      waits: false,
    }
    kept.set(id, opened)
    return opened
  }

  /** After the first reading, when its files are known: keeps them and watches for notices, as far as may be. */
  function keep(id: string, entry: Kept): string {
    if (entry.watching !== null) return entry.watching.problem
    entry.files = entry.cgroup.fileCount()
    files += entry.files
    if (files > maxFiles) {
      release(id)
      return 'no more files may be kept open: raise the limit of open files (LimitNOFILE, ulimit -n)'
    }
    entry.watching = watchEventFiles(eventFilesOf(entry.places), () => onNotice(id))
    watchPressure(id, entry)
    return entry.watching.problem
  }

  function watchPressure(id: string, entry: Kept): void {
    const { unified } = entry.places
    if (unified === null || files + filesOfTrigger > maxFiles) return
    entry.trigger = triggerOf(join(unified, 'memory.pressure'), () => {
      entry.waits = true
      onNotice(id)
    })
    if (entry.trigger === null) return
    entry.files += filesOfTrigger
    files += filesOfTrigger
  }

  function release(id: string): void {
    const entry = kept.get(id)
    if (entry === undefined) return
    kept.delete(id)
    files -= entry.files
    entry.watching?.close()
    entry.trigger?.close()
    entry.cgroup.close()
  }

  return {
    mode,
    read(container) {
      const { id, details } = container
      const pid = details?.pid ?? 0
      if (pid === 0) return absent()
      if (mode === null) return { outcome: 'not-here' }
      try {
        const entry = open(id, pid)
        if (entry === null) return { outcome: 'not-here' }
        // An update through the engine gives the container new details.
        const announced = entry.watching?.problem === ''
        const reading = entry.cgroup.read({ limitsChanged: entry.details !== details, announced })
        entry.details = details
        entry.waits = false
        isLocal = true
        const hasKills = (reading.usage.memory.oomKills ?? 0) > 0
        const firstProcess = hasKills ? readFirstProcess(procRoot, pid, id) : null
        return { outcome: 'read', ...reading, firstProcess, slow: keep(id, entry) }
      } catch (error) {
        release(id)
        if (isVanished(error)) return absent()
        return { outcome: 'unreadable', reason: messageOf(error) }
      }
    },
    hasNews(id) {
      try {
        const entry = kept.get(id)
        return entry !== undefined && (entry.waits || entry.cgroup.hasMoved())
      } catch {
        // Reading all of it will say what is the matter.
        return true
      }
    },
    isOpen: (id) => kept.has(id),
    retain(ids) {
      parents.forget()
      for (const id of kept.keys()) if (!ids.has(id)) release(id)
    },
    close() {
      for (const id of kept.keys()) release(id)
    },
  }
}

type Kept = {
  pid: number
  /** The container's at the last reading. */
  details: ContainerDetails | null
  places: Places
  cgroup: OpenCgroup
  /** 0, and null, until the first reading. */
  files: number
  watching: EventFiles | null
  /** Null where pressure is not announced. */
  trigger: PressureTrigger | null
  /** Pressure was announced since the last reading. */
  waits: boolean
}
