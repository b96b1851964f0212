import { type FSWatcher, watch } from 'node:fs'
import { join } from 'node:path'
import { errorCode, messageOf } from '../../lib/errors.ts'
import type { Places } from './cgroup-places.ts'

/** Kernel files that announce each change of theirs, watched until they are closed. */
export type EventFiles = {
  /** Why some are not watched; empty when all are. */
  readonly problem: string
  close(): void
}

/**
 * The counters of a cgroup that the kernel announces to inotify (kernel: cgroup_file_notify): kills for want of
 * memory with version 2, refused forks with both, since Linux 4.11.
 */
export function eventFilesOf({ memory, pids }: Places): string[] {
  const files = memory?.version === 2 ? [join(memory.directory, 'memory.events')] : []
  return pids === null ? files : [...files, join(pids.directory, 'pids.events')]
}

/** Calls back, at most once in 10 ms for each file (CGROUP_FILE_NOTIFY_MIN_INTV), when one of them has changed. */
export function watchEventFiles(paths: readonly string[], onChange: () => void): EventFiles {
  const watchers: FSWatcher[] = []
  let problem = ''
  for (const path of paths) {
    try {
      const watcher = watch(path, onChange)
      watcher.on('error', (error) => {
        problem = messageOf(error)
        watcher.close()
      })
      watchers.push(watcher)
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') problem = messageOf(error)
    }
  }
  return {
    get problem() {
      return problem
    },
    close() {
      for (const watcher of watchers) watcher.close()
    },
  }
}
