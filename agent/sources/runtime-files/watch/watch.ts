import type { Observable } from 'rxjs'

/** What the kernel reported about a watched file. */
export type FileEvent = {
  kind: 'file-event'
  /** The file's path, as it was given to `mark`. */
  path: string
  /** The process that did it; 0 when unknown. */
  pid: number
  /** It was written to or truncated. */
  modified: boolean
  /** A descriptor that was open for writing was closed. */
  closed: boolean
  /** Its inode changed: mode, owner, times or number of links. */
  attributes: boolean
  /** The operation is complete, as far as the kernel knows: closed, or moved into place. */
  complete: boolean
  /** Which of its names now leads to another file or to none; null when every name is unchanged. */
  entry: string | null
}

export type WatchEvent = FileEvent | { kind: 'lost'; reason: string }

/** A watch on the runtime files. */
export type Watch = {
  mode: 'fanotify' | 'inotify'
  /** Why it is not the best mode; empty when it is. */
  reason: string
  events$: Observable<WatchEvent>
  /**
   * Watches what the path and the further names lead to now, and their directories. Returns why that is not
   * possible, or an empty string. Call it again whenever the file may have been replaced.
   */
  mark(path: string, names: Iterable<string>): string
  /**
   * Reports every name that is created, removed or replaced in a directory; does nothing when the directory does not
   * exist.
   */
  markDirectory(path: string): void
  close(): void
}
