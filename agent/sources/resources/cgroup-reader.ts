import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../../lib/errors.ts'
import type { Container, ContainerDetails } from '../../model/container.ts'
import type { FirstProcess } from '../../model/observation.ts'
import { parseCgroupMounts } from './cgroup-mounts.ts'
import {
  type CgroupMode,
  hostMounts,
  locateCgroup,
  modeOf,
  type CgroupDirectories,
} from './cgroup-directories.ts'
import { type EventFiles, eventFilesOf, watchEventFiles } from './event-files.ts'
import { readFirstProcess } from './first-process.ts'
import { descriptorBudget, isVanished } from './open-file-cache.ts'
import { type OpenCgroup, openCgroup } from './open-cgroup.ts'
import { parentLimits } from './parent-limits.ts'
import { filesOfTrigger, type PressureTrigger, pressureTrigger } from './pressure-trigger.ts'
import type { Usage } from './usage.ts'

export type CgroupReading =
  /**
   * `missing` names the controllers that this kernel lacks; their part of the usage is empty. `slow` is why reading
   * the container costs more, or reports events later, than it should; empty when it does not.
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
  /** Null when the host has no cgroups that count resources. */
  mode: CgroupMode | null
  read(container: Container): CgroupReading
  /** Whether a container that the kernel announced has changed. */
  hasChanged(id: string): boolean
  /** Whether its files are open, so that a sample costs next to nothing. */
  isOpen(id: string): boolean
  /** Starts a round: closes the files of all other containers and forgets the limits of parent cgroups. */
  retain(ids: ReadonlySet<string>): void
  close(): void
}

/** `/proc` and `/sys/fs/cgroup`, or where they are mounted for this process. */
export type KernelPaths = { procRoot: string; cgroupRoot: string }

export type CgroupReaderOptions = KernelPaths & {
  /** The kernel announced an event in a container that was read before. */
  onNotice: (id: string) => void
  /** How to ask the kernel to announce pressure. */
  triggerOf?: (path: string, onPressure: () => void) => PressureTrigger | null
  /**
   * How often CPU pressure, IO pressure and block IO are read: 1 for every reading of a container, 2 for every second
   * one, …
   */
  exportOnlyEvery?: number
  /**
   * How many files may be kept open. The files of further containers are opened each time: 0.2 ms rather than 0.04
   * ms.
   */
  maxFiles?: number
}

/** Reads the usage of containers from their cgroup files, for every cgroup version and driver. */
export function cgroupReader(options: CgroupReaderOptions): CgroupReader {
  const { procRoot, cgroupRoot, onNotice, triggerOf = pressureTrigger } = options
  const { maxFiles = descriptorBudget(procRoot), exportOnlyEvery = 1 } = options
  const mountinfo = readFileSync(join(procRoot, 'self/mountinfo'), 'latin1')
  const mounts = hostMounts(parseCgroupMounts(mountinfo, cgroupRoot))
  const mode = modeOf(mounts)
  const openContainers = new Map<string, OpenContainer>()
  const parents = parentLimits()
  let files = 0
  // One successful reading proves that the engine is on this host; after that, a missing process has exited.
  let isLocal = false
  const absent = (): CgroupReading => ({ outcome: isLocal ? 'vanished' : 'not-here' })

  function open(id: string, pid: number): OpenContainer | null {
    const found = openContainers.get(id)
    if (found?.pid === pid) return found
    release(id)
    const directories = locateCgroup(
      mounts,
      readFileSync(join(procRoot, String(pid), 'cgroup'), 'latin1'),
      id,
    )
    if (directories === null) return null
    const resources = new DisposableStack()
    const cgroup = resources.adopt(openCgroup(directories, { parents, exportOnlyEvery }), close)
    const opened: OpenContainer = {
      pid,
      details: null,
      directories,
      cgroup,
      files: 0,
      eventFiles: null,
      underPressure: false,
      resources,
    }
    openContainers.set(id, opened)
    return opened
  }

  /**
   * After the first reading, when its files are known: keeps them open and watches for kernel notifications, within
   * the file limit.
   */
  function keepOpen(id: string, entry: OpenContainer): string {
    if (entry.eventFiles !== null) return entry.eventFiles.problem
    entry.files = entry.cgroup.fileCount()
    files += entry.files
    if (files > maxFiles) {
      release(id)
      return 'the limit of open files is reached: raise it (LimitNOFILE, ulimit -n)'
    }
    const eventFiles = watchEventFiles(eventFilesOf(entry.directories), () => onNotice(id))
    entry.eventFiles = entry.resources.adopt(eventFiles, close)
    watchPressure(id, entry)
    return eventFiles.problem
  }

  function watchPressure(id: string, entry: OpenContainer): void {
    const { unified } = entry.directories
    if (unified === null || files + filesOfTrigger > maxFiles) return
    const trigger = triggerOf(join(unified, 'memory.pressure'), () => {
      entry.underPressure = true
      onNotice(id)
    })
    if (trigger === null) return
    entry.resources.adopt(trigger, close)
    entry.files += filesOfTrigger
    files += filesOfTrigger
  }

  function release(id: string): void {
    const entry = openContainers.get(id)
    if (entry === undefined) return
    openContainers.delete(id)
    files -= entry.files
    entry.resources.dispose()
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
        // An update through the Docker API gives the container new details.
        const announced = entry.eventFiles?.problem === ''
        const reading = entry.cgroup.read({ limitsChanged: entry.details !== details, announced })
        entry.details = details
        entry.underPressure = false
        isLocal = true
        const hasKills = (reading.usage.memory.oomKills ?? 0) > 0
        const firstProcess = hasKills ? readFirstProcess(procRoot, pid, id) : null
        return { outcome: 'read', ...reading, firstProcess, slow: keepOpen(id, entry) }
      } catch (error) {
        release(id)
        if (isVanished(error)) return absent()
        return { outcome: 'unreadable', reason: messageOf(error) }
      }
    },
    hasChanged(id) {
      try {
        const entry = openContainers.get(id)
        return entry !== undefined && (entry.underPressure || entry.cgroup.hasChanged())
      } catch {
        // A full reading will report the problem.
        return true
      }
    },
    isOpen: (id) => openContainers.has(id),
    retain(ids) {
      parents.forget()
      for (const id of openContainers.keys()) if (!ids.has(id)) release(id)
    },
    close() {
      using closing = new DisposableStack()
      for (const id of openContainers.keys()) closing.defer(() => release(id))
    },
  }
}

type OpenContainer = {
  pid: number
  /** The container's details at the last reading. */
  details: ContainerDetails | null
  directories: CgroupDirectories
  cgroup: OpenCgroup
  /** 0, and null, until the first reading. */
  files: number
  eventFiles: EventFiles | null
  /** Pressure was announced since the last reading. */
  underPressure: boolean
  resources: DisposableStack
}

function close(one: { close(): void }): void {
  one.close()
}
