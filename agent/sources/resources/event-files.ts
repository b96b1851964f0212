import { watch } from 'node:fs'
import { join } from 'node:path'
import { errorCode, messageOf } from '../../lib/errors.ts'
import type { CgroupDirectories } from './cgroup-directories.ts'

/** Kernel files that announce their changes, watched until they are closed. */
export type EventFiles = {
  /** Why some are not watched; empty when all are. */
  readonly problem: string
  close(): void
}

/**
 * The counters of a cgroup whose changes the kernel announces to inotify (kernel: cgroup_file_notify): OOM kills with
 * version 2, refused forks with both versions, since Linux 4.11.
 */
export function eventFilesOf({ memory, pids }: CgroupDirectories): string[] {
  const files = memory?.version === 2 ? [join(memory.directory, 'memory.events')] : []
  return pids === null ? files : [...files, join(pids.directory, 'pids.events')]
}

/** Calls back when one of the files has changed, at most once in 10 ms for each file (CGROUP_FILE_NOTIFY_MIN_INTV). */
export function watchEventFiles(paths: readonly string[], onChange: () => void): EventFiles {
  const watchers = new DisposableStack()
  let problem = ''
  for (const path of paths) {
    try {
      const watcher = watch(path, onChange)
      watcher.on('error', (error) => {
        problem = messageOf(error)
        watcher.close()
      })
      watchers.defer(() => watcher.close())
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') problem = messageOf(error)
    }
  }
  return {
    get problem() {
      return problem
    },
    close: () => watchers.dispose(),
  }
}
