import { closeSync, constants, openSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { errorCode, isProcessGone, messageOf } from '../../lib/errors.ts'
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

/** A process wrote to, created, replaced or removed a watched file. */
export type FileActivity = { pid: number; target: ActivityTarget }

export type ActivityTarget =
  /** A file passed to `watchFile` or `watchEntry`. */
  | { kind: 'file'; path: string }
  /** An entry in binfmt_misc. */
  | { kind: 'binfmt' }
  /**
   * A cgroup file in a hierarchy passed to `watchHierarchy`. `directory` leads to the cgroup, whatever path the
   * writer used, and is valid during the call only; null if the cgroup, or our path to it, is gone.
   */
  | { kind: 'cgroup'; hierarchy: string; directory: string | null; name: string }

export type FileActivityWatch = {
  /** All four return why watching is not possible, or an empty string. Calling them again is harmless. */
  watchFile(path: string): string
  /** Watches a directory entry, whether it exists or not. */
  watchEntry(path: string): string
  /** `base` is a path that currently leads to the root of the hierarchy. */
  watchHierarchy(name: string, base: string): string
  /** `root` is the root of a binfmt_misc mount. */
  watchBinfmt(root: string): string
  /** Delivers pending events, for at most some milliseconds; true when more remain. */
  drain(): boolean
  close(): void
}

export type FileActivityListener = GroupReaderOptions & { onActivity(activity: FileActivity): void }

/** The cgroup files that matter; `release_agent` exists only in the root. */
const cgroupFiles: ReadonlySet<string> = new Set(['release_agent', 'notify_on_release'])

const entryEvents = fan.CREATE | fan.MOVED_TO | fan.MOVED_FROM | fan.DELETE
const contentEvents = fan.MODIFY | fan.CLOSE_WRITE

/** Watches with fanotify, which reports the process; throws a SystemCallError if that is not permitted. */
export function openFileActivityWatch(listener: FileActivityListener): FileActivityWatch {
  const fd = openFanotify()
  const reader = groupReader(listener)
  reader.add(fd, onEvent)
  // The object that each path leads to; the file may have been replaced each time it is watched.
  const files = new Map<string, string>()
  const entries = new Map<string, string>()
  // By file system id; `base` leads to the hierarchy while the process that has it mounted runs.
  const hierarchies = new Map<string, { name: string; base: string }>()
  let binfmt: number | undefined

  function onEvent({ pid, mask, subjects }: FanotifyEvent): void {
    for (const subject of subjects) {
      const target = targetOf(subject, mask)
      if (target !== null) listener.onActivity({ pid, target })
      else onCgroupEvent(pid, subject)
    }
  }

  function targetOf({ handle, fileSystem, name }: FanotifySubject, mask: number): ActivityTarget | null {
    const object = `${fileSystem}/${handle}`
    const path = name === null ? pathOf(object) : entries.get(`${object}/${name}`)
    const counts = name !== null || (mask & contentEvents) !== 0
    return path !== undefined && counts ? { kind: 'file', path } : null
  }

  function pathOf(object: string): string | undefined {
    return [...files].find(([, of]) => of === object)?.[0]
  }

  function onCgroupEvent(pid: number, { handle, fileSystem, name }: FanotifySubject): void {
    if (name === null || !cgroupFiles.has(name)) return
    const hierarchy = hierarchies.get(fileSystem)
    if (hierarchy === undefined) return
    withDirectory(hierarchy.base, handle, (directory) =>
      listener.onActivity({ pid, target: { kind: 'cgroup', hierarchy: hierarchy.name, directory, name } }),
    )
  }

  function onBinfmtEvent({ pid, descriptor }: FanotifyEvent): void {
    if (descriptor !== undefined) closeSync(descriptor)
    listener.onActivity({ pid, target: { kind: 'binfmt' } })
  }

  return {
    watchFile: (path) =>
      problemOf(() => {
        markPath(fd, path, contentEvents)
        files.set(path, objectAt(path))
      }),
    watchEntry: (path) =>
      problemOf(() => {
        markPath(fd, dirname(path), entryEvents | contentEvents | fan.EVENT_ON_CHILD)
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
          // binfmt_misc has no file handles, so it needs a group of its own.
          binfmt = openFanotifyByDescriptor()
          reader.add(binfmt, onBinfmtEvent)
        }
        markFileSystem(binfmt, root, fan.MODIFY)
      }),
    drain: reader.drain,
    close: reader.close,
  }
}

/** Identifies an object as events do. Handles alone are not unique: pseudo file systems often share them. */
function objectAt(path: string): string {
  return `${fileSystemId(path)}/${fileHandle(path)}`
}

/** Calls `use` with a path to the cgroup that a handle identifies. */
function withDirectory(base: string, handle: string, use: (directory: string | null) => void): void {
  using opened = new DisposableStack()
  const closeLater = (fd: number | null) => (fd === null ? null : opened.adopt(fd, closeSync))
  const root = closeLater(tryOpen(base))
  const directory = root === null ? null : closeLater(openHandle(root, handle))
  use(directory === null ? null : `/proc/self/fd/${directory}`)
}

function tryOpen(directory: string): number | null {
  try {
    return openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch (error) {
    if (isGone(error)) return null
    throw error
  }
}

// The process that had the hierarchy mounted has exited, or the hierarchy is being removed.
function isGone(error: unknown): boolean {
  return isProcessGone(error) || ['ENOTDIR', 'ENODEV', 'EACCES'].includes(errorCode(error))
}

function problemOf(mark: () => void): string {
  try {
    mark()
    return ''
  } catch (error) {
    return messageOf(error)
  }
}
