import type { RuntimeFileKind } from '../../../model/observation.ts'

/** A file that decides what runs when Docker starts a container. */
export type RuntimeFile = {
  kind: RuntimeFileKind
  /** Where it really is: no symbolic link is left in it. */
  path: string
  /** Further paths that lead to it: symbolic and hard links. */
  names: readonly string[]
  /** Both 0 for a path where no file is yet. */
  device: number
  inode: number
  /** It need not be there: its appearance is a change like any other. */
  optional?: true
}
