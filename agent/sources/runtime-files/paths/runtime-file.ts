import type { RuntimeFileKind } from '../../../model/observation.ts'

/** A file that decides what runs when Docker starts a container. */
export type RuntimeFile = {
  kind: RuntimeFileKind
  /** Its real path, without symbolic links. */
  path: string
  /** Further paths that lead to it: symbolic and hard links. */
  names: readonly string[]
  /** Both 0 when there is no file at the path yet. */
  device: number
  inode: number
  /** The file may be missing; its creation is a change like any other. */
  optional?: true
}
