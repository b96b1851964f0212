import { closeSync, constants, openSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { messageOf } from '../../lib/errors.ts'
import {
  fan,
  fileHandle,
  fileSystemId,
  markFileSystem,
  markPath,
  openFanotify,
  openFanotifyByDescriptor,
  openHandle,
} from '../../linux/fanotify.ts'
import type { FanotifyEvent, FanotifySubject } from '../../linux/fanotify-events.ts'
import { groupReader, type GroupReaderOptions } from './group-reader.ts'

/** Somebody wrote to, made, replaced or removed something that is watched. */
export type Touch = { pid: number; target: TouchTarget }

export type TouchTarget =
  /** A file given to `watchFile` or `watchEntry`. */
  | { kind: 'file'; path: string }
  /** Something in binfmt_misc. */
  | { kind: 'binfmt' }
  /**
   * A file of a cgroup in a hierarchy given to `watchHierarchy`. `directory` leads to the cgroup, whatever the writer
   * calls it, as long as the call lasts; null where the cgroup, or our way to it, is gone.
   */
  | { kind: 'cgroup'; hierarchy: string; directory: string | null; name: string }

export type TouchWatch = {
  /** All give why that is not possible, or an empty string; to be called again is harmless. */
  watchFile(path: string): string
  /** An entry in its directory, whether it is there or not. */
  watchEntry(path: string): string
  /** `base` is where its root is to be found now. */
  watchHierarchy(name: string, base: string): string
  /** `root` is that of a mount of binfmt_misc. */
  watchBinfmt(root: string): string
  /** Tells what waits; true when there is more than some milliseconds allow. */
  drain(): boolean
  close(): void
}

export type TouchListener = GroupReaderOptions & { touched(touch: Touch): void }

/** The files of a cgroup that matter; `release_agent` is in the root only. */
const cgroupFiles: ReadonlySet<string> = new Set(['release_agent', 'notify_on_release'])

const ofEntry = fan.CREATE | fan.MOVED_TO | fan.MOVED_FROM | fan.DELETE
const ofContent = fan.MODIFY | fan.CLOSE_WRITE

/** Watches by fanotify, which names the process; throws a SystemCallError where that is not permitted. */
export function openTouchWatch(listener: TouchListener): TouchWatch {
  const fd = openFanotify()
  const reader = groupReader(listener)
  reader.add(fd, tell)
  // What each path leads to: the file may be another each time that it is watched.
  const files = new Map<string, string>()
  const entries = new Map<string, string>()
  // By file system; `base` leads to it as long as who holds it lives.
  const hierarchies = new Map<string, { name: string; base: string }>()
  let binfmt: number | undefined

  function tell({ pid, mask, subjects }: FanotifyEvent): void {
    for (const subject of subjects) {
      const target = targetOf(subject, mask)
      if (target !== null) listener.touched({ pid, target })
      else tellCgroup(pid, subject)
    }
  }

  function targetOf({ handle, fileSystem, name }: FanotifySubject, mask: number): TouchTarget | null {
    const object = `${fileSystem}/${handle}`
    const path = name === null ? pathOf(object) : entries.get(`${object}/${name}`)
    const counts = name !== null || (mask & ofContent) !== 0
    return path !== undefined && counts ? { kind: 'file', path } : null
  }

  function pathOf(object: string): string | undefined {
    return [...files].find(([, of]) => of === object)?.[0]
  }

  function tellCgroup(pid: number, { handle, fileSystem, name }: FanotifySubject): void {
    if (name === null || !cgroupFiles.has(name)) return
    const hierarchy = hierarchies.get(fileSystem)
    if (hierarchy === undefined) return
    withDirectory(hierarchy.base, handle, (directory) =>
      listener.touched({ pid, target: { kind: 'cgroup', hierarchy: hierarchy.name, directory, name } }),
    )
  }

  function tellBinfmt({ pid, descriptor }: FanotifyEvent): void {
    if (descriptor !== undefined) closeSync(descriptor)
    listener.touched({ pid, target: { kind: 'binfmt' } })
  }

  return {
    watchFile: (path) =>
      problemOf(() => {
        markPath(fd, path, ofContent)
        files.set(path, objectAt(path))
      }),
    watchEntry: (path) =>
      problemOf(() => {
        markPath(fd, dirname(path), ofEntry | ofContent | fan.EVENT_ON_CHILD)
        entries.set(`${objectAt(dirname(path))}/${basename(path)}`, path)
      }),
    watchHierarchy: (name, base) =>
      problemOf(() => {
        markFileSystem(fd, base, fan.MODIFY)
        hierarchies.set(fileSystemId(base), { name, base })
      }),
    watchBinfmt: (root) =>
      problemOf(() => {
        if (binfmt === undefined) {
          // It cannot give handles, so that a group of its own is needed.
          binfmt = openFanotifyByDescriptor()
          reader.add(binfmt, tellBinfmt)
        }
        markFileSystem(binfmt, root, fan.MODIFY)
      }),
    drain: reader.drain,
    close: reader.close,
  }
}

/** As `tell` finds it in an event: two file systems of the kernel often have equal handles. */
function objectAt(path: string): string {
  return `${fileSystemId(path)}/${fileHandle(path)}`
}

/** Leads to a cgroup by its handle. */
function withDirectory(base: string, handle: string, use: (directory: string | null) => void): void {
  const opened: number[] = []
  const open = (fd: number | null) => {
    if (fd !== null) opened.push(fd)
    return fd
  }
  try {
    const root = open(tryOpen(base))
    const directory = root === null ? null : open(openHandle(root, handle))
    use(directory === null ? null : `/proc/self/fd/${directory}`)
  } finally {
    for (const fd of opened) closeSync(fd)
  }
}

function tryOpen(directory: string): number | null {
  try {
    return openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch (error) {
    if (isGone(error)) return null
    throw error
  }
}

// Who had the hierarchy mounted has ended, or the hierarchy is being taken down.
function isGone(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return ['ENOENT', 'ENOTDIR', 'ENODEV', 'ESRCH', 'EACCES'].includes(code)
}

function problemOf(mark: () => void): string {
  try {
    mark()
    return ''
  } catch (error) {
    return messageOf(error)
  }
}
