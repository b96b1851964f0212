import { closeSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { Subject } from 'rxjs'
import { fan, fileHandle, markPath, openFanotify, readFanotify } from '../../../linux/fanotify.ts'
import type { FanotifyEvent } from '../../../linux/fanotify-events.ts'
import { SystemCallError } from '../../../linux/libc.ts'
import { onReadable } from '../../../linux/poll.ts'
import { isAbsent } from '../integrity/files.ts'
import type { FileEvent, Watch, WatchEvent } from './watch.ts'

// Reading a file, as our own hashing does, raises none of these.
const ofFile = fan.MODIFY | fan.CLOSE_WRITE | fan.ATTRIB
const ofDirectory = fan.MOVED_FROM | fan.MOVED_TO | fan.CREATE | fan.DELETE

// Yield to the event loop after this many buffers of 64 KiB, about 1,000 events each.
const BUFFERS_PER_TURN = 4

/**
 * Watches inodes, so that it sees a write through any mount, hard link or open descriptor, and their directories,
 * where renames and unlinks show. Throws a SystemCallError when that is not possible.
 */
export function fanotifyWatch(): Watch {
  using opening = new DisposableStack()
  const fd = opening.adopt(openFanotify(), closeSync)
  const marked = markedFiles()
  const events$ = new Subject<WatchEvent>()
  opening.adopt(
    onReadable(fd, () => read(BUFFERS_PER_TURN)),
    (polling) => polling.close(),
  )
  const resources = opening.move()

  function read(maxBuffers: number): void {
    for (let turn = 0; turn < maxBuffers; turn++) {
      const batch = readFanotify(fd)
      if (batch === null) return
      if (!batch.intact) events$.next({ kind: 'lost', reason: 'malformed' })
      for (const event of batch.events) {
        if ((event.mask & fan.Q_OVERFLOW) !== 0) events$.next({ kind: 'lost', reason: 'overflow' })
        for (const fileEvent of fileEventsIn(event, marked)) events$.next(fileEvent)
      }
    }
  }

  return {
    mode: 'fanotify',
    reason: '',
    events$,
    mark(path, names) {
      const entries = [path, ...names].map((name) =>
        problemOf(() => {
          const directory = fileHandle(dirname(name))
          markPath(fd, dirname(name), ofDirectory)
          if (marked.hasEntry(directory, basename(name))) return
          // The directory may already be marked for another name: read the pending events first, because those from
          // before this name was of interest do not count.
          read(Infinity)
          marked.addEntry(directory, name, path)
        }),
      )
      const file = problemOf(() => {
        markPath(fd, path, ofFile)
        marked.setFile(fileHandle(path), path)
      })
      const problem = [...entries, file].find((text) => text !== '')
      return problem === undefined
        ? ''
        : `${path} cannot be watched and is only hashed once a minute: ${problem}`
    },
    markDirectory(path) {
      problemOf(() => {
        markPath(fd, path, ofDirectory)
        marked.addDirectory(fileHandle(path), path)
      })
    },
    close: () => resources.dispose(),
  }
}

function problemOf(mark: () => void): string {
  try {
    mark()
    return ''
  } catch (error) {
    if (isAbsent(error)) return ''
    if (error instanceof SystemCallError) return error.message
    throw error
  }
}

type MarkedFiles = ReturnType<typeof markedFiles>

/** Maps the file handles in events to the marked files. */
function markedFiles() {
  const handleByPath = new Map<string, string>()
  const byEntry = new Map<string, { name: string; path: string }>()
  const directories = new Map<string, string>()
  return {
    addDirectory: (handle: string, path: string) => directories.set(handle, path),
    addEntry: (directory: string, name: string, path: string) =>
      byEntry.set(`${directory}/${basename(name)}`, { name, path }),
    setFile: (handle: string, path: string) => handleByPath.set(path, handle),
    hasEntry: (directory: string, name: string) => byEntry.has(`${directory}/${name}`),
    entry(directory: string, name: string) {
      const markedDirectory = directories.get(directory)
      const anyEntry =
        markedDirectory === undefined
          ? undefined
          : { name: `${markedDirectory}/${name}`, path: `${markedDirectory}/${name}` }
      return byEntry.get(`${directory}/${name}`) ?? anyEntry
    },
    files: (handle: string) => [...handleByPath].filter(([, of]) => of === handle).map(([path]) => path),
  }
}

/**
 * The file events that one fanotify event means for the marked files. A change of a file also names its entry in a
 * marked directory, but does not change that directory; other entries of the directory are ignored.
 */
function fileEventsIn({ mask, pid, subjects }: FanotifyEvent, marked: MarkedFiles): FileEvent[] {
  return subjects.flatMap(({ handle, name }) => {
    if (name === null)
      return (mask & ofFile) === 0 ? [] : marked.files(handle).map((path) => fileEvent(path, null))
    const entry = (mask & ofDirectory) === 0 ? undefined : marked.entry(handle, name)
    return entry === undefined ? [] : [fileEvent(entry.path, entry.name)]
  })

  function fileEvent(path: string, entry: string | null): FileEvent {
    return {
      kind: 'file-event',
      path,
      pid,
      modified: (mask & fan.MODIFY) !== 0,
      closed: (mask & fan.CLOSE_WRITE) !== 0,
      attributes: (mask & fan.ATTRIB) !== 0,
      complete: (mask & (fan.CLOSE_WRITE | fan.MOVED_TO)) !== 0,
      entry,
    }
  }
}
