import type { FileState, RuntimeFileChange } from '../../../model/observation.ts'

/** What one process was seen doing to a file since it was last looked at. */
export type Deed = {
  modified: boolean
  closed: boolean
  attributes: boolean
  /** The file's path now leads to something else or nothing. */
  entry: boolean
}

/** A change, and who did it, where somebody was seen. */
export type Change<D extends Deed> = {
  change: Exclude<RuntimeFileChange, 'found' | 'verified'>
  by: D | null
}

/**
 * Says what happened to a file between two looks at it, once for each process that did something: a write
 * is one even when it leaves the same bytes, but opening for writing, `touch` and a further hard link are
 * none. What nobody was seen doing is a change by nobody.
 */
export function changesBetween<D extends Deed>(
  before: FileState | null,
  after: FileState | null,
  deeds: readonly D[],
): Change<D>[] {
  const changes: Change<D>[] = []
  for (const deed of deeds) {
    const change = changeBy(deed, before, after)
    if (change) changes.push({ change, by: deed })
  }
  const difference = differenceOf(before, after)
  if (difference && !changes.some(({ change }) => weight[change] >= weight[difference]))
    changes.push({ change: difference, by: null })
  return changes
}

// What a change of each kind also explains: who replaces a file changes its content and attributes with it.
const weight = { attributes: 1, written: 2, replaced: 3, removed: 3 }

function changeBy(
  deed: Deed,
  before: FileState | null,
  after: FileState | null,
): Change<Deed>['change'] | null {
  if (deed.entry) {
    if (after !== null) return 'replaced'
    return before === null ? null : 'removed'
  }
  if (before === null || after === null) return null
  if (deed.modified) return 'written'
  // A write through mmap shows as no more than the end of it.
  if (deed.closed && differenceOf(before, after) === 'written') return 'written'
  return deed.attributes && attributesDiffer(before, after) ? 'attributes' : null
}

function differenceOf(before: FileState | null, after: FileState | null): Change<Deed>['change'] | null {
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
