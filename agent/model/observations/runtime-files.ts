import type { Container } from '../container.ts'

export type RuntimeFileChange =
  | 'found' // baseline: seen at start, or for the first time
  | 'written'
  | 'replaced'
  | 'removed'
  | 'attributes' // owner or mode

/** Something happened to a file that runs when Docker starts a container. */
export type RuntimeFileObservation = {
  kind: 'runtime-file'
  time: number
  change: RuntimeFileChange
  path: string
  before: FileState | null
  after: FileState | null
  /** Who did it, where the kernel says so. */
  writer: Writer | null
  /** The container the writer is in; null for the host or when unknown. */
  container: Container | null
  /** The rest of a long write that was reported when it began. */
  continued?: true
}

export type FileState = {
  device: number
  inode: number
  sizeBytes: number
  /** Permission bits with setuid and its kin. */
  mode: number
  uid: number
  gid: number
  /** Lower-case hexadecimal. */
  sha256: string
}

export type Writer = { pid: number; uid: number | null; exe: string; argv: readonly string[] }
