import { closeSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { Subject } from 'rxjs'
import { fan, fileHandle, markPath, openFanotify, readFanotify } from '../../../linux/fanotify.ts'
import type { FanotifyEvent } from '../../../linux/fanotify-events.ts'
import { SystemCallError } from '../../../linux/libc.ts'
import { onReadable } from '../../../linux/poll.ts'
import { isAbsent } from '../integrity/files.ts'
import type { Sighting, Watch, WatchEvent } from './watch.ts'

// Reading a file, as our own hashing does, gives none of these.
const ofFile = fan.MODIFY | fan.CLOSE_WRITE | fan.ATTRIB
const ofDirectory = fan.MOVED_FROM | fan.MOVED_TO | fan.CREATE | fan.DELETE

// The loop gets its turn after this many buffers of 64 KiB, about 1,000 events each.
const BUFFERS_PER_TURN = 4

/**
 * Watches inodes, so that a write is seen through whatever mount, hard link or held descriptor it came, and
 * their directories, where a rename or unlink shows. Throws a SystemCallError where that is not possible.
 */
export function fanotifyWatch(): Watch {
  const fd = openFanotify()
  const marked = markedFiles()
  const events$ = new Subject<WatchEvent>()
  const polling = onReadable(fd, () => read(BUFFERS_PER_TURN))

  function read(maxBuffers: number): void {
    for (let turn = 0; turn < maxBuffers; turn++) {
      const batch = readFanotify(fd)
      if (batch === null) return
      if (!batch.intact) events$.next({ kind: 'lost', reason: 'malformed' })
      for (const event of batch.events) {
        if ((event.mask & fan.Q_OVERFLOW) !== 0) events$.next({ kind: 'lost', reason: 'overflow' })
        for (const sighting of sightingsIn(event, marked)) events$.next(sighting)
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
          // What waits was done before we cared for this name, in a directory marked for another one.
          read(Infinity)
          marked.addEntry(directory, name, path)
        }),
      )
      const file = problemOf(() => {
        markPath(fd, path, ofFile)
        marked.setFile(fileHandle(path), path)
      })
      const problem = [...entries, file].find((text) => text !== '')
      return problem === undefined ? '' : `${path} is only hashed each minute: ${problem}`
    },
    markDirectory(path) {
      problemOf(() => {
        markPath(fd, path, ofDirectory)
        marked.addDirectory(fileHandle(path), path)
      })
    },
    close() {
      polling.close()
      closeSync(fd)
    },
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

/** Which file an event is about: events name objects by their handles. */
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
      const inWhole = directories.get(directory)
      const ofWhole =
        inWhole === undefined ? undefined : { name: `${inWhole}/${name}`, path: `${inWhole}/${name}` }
      return byEntry.get(`${directory}/${name}`) ?? ofWhole
    },
    files: (handle: string) => [...handleByPath].filter(([, of]) => of === handle).map(([path]) => path),
  }
}

/**
 * What an event says about marked files. A change of a file itself also names its entry in a directory that
 * is marked, and is no change of the directory; other entries of their directories are no concern
 * of ours.
 */
function sightingsIn({ mask, pid, subjects }: FanotifyEvent, marked: MarkedFiles): Sighting[] {
  return subjects.flatMap(({ handle, name }) => {
    if (name === null)
      return (mask & ofFile) === 0 ? [] : marked.files(handle).map((path) => sighting(path, null))
    const entry = (mask & ofDirectory) === 0 ? undefined : marked.entry(handle, name)
    return entry === undefined ? [] : [sighting(entry.path, entry.name)]
  })

  function sighting(path: string, entry: string | null): Sighting {
    return {
      kind: 'sighting',
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
