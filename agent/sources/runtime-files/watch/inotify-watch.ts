import { type FSWatcher, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { Subject } from 'rxjs'
import { messageOf } from '../../../lib/errors.ts'
import { isAbsent } from '../integrity/files.ts'
import type { Watch, WatchEvent } from './watch.ts'

/**
 * Watches without any privilege. inotify reports no pid and no writes through mmap, and only the result distinguishes
 * a write from a chmod.
 */
export function inotifyWatch(reason: string): Watch {
  const events$ = new Subject<WatchEvent>()
  const watchers = new Map<string, FSWatcher>()

  function watchPath(key: string, path: string, onEvent: (event: string, name: string | null) => void) {
    const before = watchers.get(key)
    const watcher = watch(path, onEvent)
    watcher.on('error', () => events$.next({ kind: 'lost', reason: 'watch-failed' }))
    watchers.set(key, watcher)
    // Closed only now, so that the file is watched without a gap.
    before?.close()
  }

  function emit(path: string, entry: string | null): void {
    const changed = entry === null
    events$.next({
      kind: 'file-event',
      path,
      pid: 0,
      modified: false,
      closed: changed,
      attributes: changed,
      complete: false,
      entry,
    })
  }

  return {
    mode: 'inotify',
    reason,
    events$,
    mark(path, names) {
      const entries = [path, ...names].map((name) =>
        problemOf(() =>
          watchPath(`entry ${name}`, dirname(name), (event, entry) => {
            if (entry === basename(name)) emit(path, event === 'rename' ? name : null)
          }),
        ),
      )
      const file = problemOf(() =>
        watchPath(`file ${path}`, path, (event) => emit(path, event === 'rename' ? path : null)),
      )
      const problem = [...entries, file].find((text) => text !== '')
      return problem === undefined
        ? ''
        : `${path} cannot be watched and is only hashed once a minute: ${problem}`
    },
    markDirectory(path) {
      problemOf(() =>
        watchPath(`directory ${path}`, path, (event, name) => {
          const entry = `${path}/${name}`
          if (name !== null && event === 'rename') emit(entry, entry)
        }),
      )
    },
    close() {
      for (const watcher of watchers.values()) watcher.close()
    },
  }
}

function problemOf(mark: () => void): string {
  try {
    mark()
    return ''
  } catch (error) {
    return isAbsent(error) ? '' : messageOf(error)
  }
}
