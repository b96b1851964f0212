import type { FileState, RuntimeFileChange } from '../../../model/observation.ts'

/** What one process did to a file since the file was last checked. */
export type FileOperation = {
  modified: boolean
  closed: boolean
  attributes: boolean
  /** The file's path now leads to another file or to none. */
  entry: boolean
}

/** A change and the process that made it; null when that is unknown. */
export type Change<Op extends FileOperation> = {
  change: Exclude<RuntimeFileChange, 'found' | 'verified'>
  by: Op | null
}

/**
 * Determines what happened to a file between two checks, once for each process that did something: a write counts
 * even when it leaves the same bytes, but opening for writing, `touch` and another hard link do not. A difference
 * that no operation explains is a change by an unknown process.
 */
export function changesBetween<Op extends FileOperation>(
  before: FileState | null,
  after: FileState | null,
  operations: readonly Op[],
): Change<Op>[] {
  const changes: Change<Op>[] = []
  for (const operation of operations) {
    const change = changeBy(operation, before, after)
    if (change) changes.push({ change, by: operation })
  }
  const difference = differenceOf(before, after)
  if (difference && !changes.some(({ change }) => weight[change] >= weight[difference]))
    changes.push({ change: difference, by: null })
  return changes
}

// A change explains all changes of lower weight: replacing a file changes its content and attributes too.
const weight = { attributes: 1, written: 2, replaced: 3, removed: 3 }

function changeBy(
  operation: FileOperation,
  before: FileState | null,
  after: FileState | null,
): Change<FileOperation>['change'] | null {
  if (operation.entry) {
    if (after !== null) return 'replaced'
    return before === null ? null : 'removed'
  }
  if (before === null || after === null) return null
  if (operation.modified) return 'written'
  // A write through mmap shows only as the closing of the file.
  if (operation.closed && differenceOf(before, after) === 'written') return 'written'
  return operation.attributes && attributesDiffer(before, after) ? 'attributes' : null
}

function differenceOf(
  before: FileState | null,
  after: FileState | null,
): Change<FileOperation>['change'] | null {
  if (before === null || after === null) {
    if (before === after) return null
    return after === null ? 'removed' : 'replaced'
  }
  if (before.device !== after.device || before.inode !== after.inode) return 'replaced'
  if (before.sizeBytes !== after.sizeBytes || before.sha256 !== after.sha256) return 'written'
  return attributesDiffer(before, after) ? 'attributes' : null
}

function attributesDiffer(before: FileState, after: FileState): boolean {
  return before.mode !== after.mode || before.uid !== after.uid || before.gid !== after.gid
}
