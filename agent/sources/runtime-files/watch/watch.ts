import type { Observable } from 'rxjs'

/** What the kernel told of a watched file. */
export type Sighting = {
  kind: 'sighting'
  /** The file's path, as it was given to `mark`. */
  path: string
  /** Who did it; 0 when unknown. */
  pid: number
  /** It was written to or truncated. */
  modified: boolean
  /** Somebody who had it open for writing is done. */
  closed: boolean
  /** Something of its inode changed: mode, owner, times, number of links. */
  attributes: boolean
  /** The act is over, as far as the kernel can tell: closed, or moved into place. */
  complete: boolean
  /** Which of its names now leads to something else or nothing; null when none does. */
  entry: string | null
}

export type WatchEvent = Sighting | { kind: 'lost'; reason: string }

/** The kernel's eyes on the runtime files. */
export type Watch = {
  mode: 'fanotify' | 'inotify'
  /** Why it is not the best mode; empty when it is. */
  reason: string
  events$: Observable<WatchEvent>
  /**
   * Watches what the path and the further names lead to now, and the directories they stand in. Returns
   * why that is not possible, or an empty string. To be called again when the file may be another.
   */
  mark(path: string, names: Iterable<string>): string
  /** Tells of every name in a directory that comes, goes or is replaced; nothing where there is no such directory. */
  markDirectory(path: string): void
  close(): void
}
