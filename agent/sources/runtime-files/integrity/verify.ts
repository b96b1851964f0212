import { concatMap, defer, from, map, type Observable, switchMap, takeWhile, timer } from 'rxjs'
import type { FileState, PackageFile } from '../../../model/observation.ts'

/** Asks the package managers of the host about a file; null where no package has it. */
export type AskPackages = (path: string, state: FileState | null) => Promise<PackageFile | null>

// A package manager puts the file in place first and its digest after: dpkg within some milliseconds, others when
// the whole package is unpacked. Milliseconds after the change.
const retries = [0, 100, 1_000, 10_000, 60_000]

/** A file that has come to be as it is, and whether somebody changed it or it was merely found so. */
export type Settled = { state: FileState | null; changed: boolean }

/**
 * What the package managers say of a file each time it has become another: until they say that it is as it was packed,
 * or it is clear that they will not. A failure to read their databases is told as a file that no package has.
 */
export function verifications(
  path: string,
  settled$: Observable<Settled>,
  ask: AskPackages,
): Observable<{ state: FileState | null; package: PackageFile | null; last: boolean }> {
  return settled$.pipe(
    switchMap(({ state, changed }) =>
      from(retries.map((at, index) => ({ wait: at - (retries[index - 1] ?? 0), index }))).pipe(
        concatMap(({ wait, index }) => timer(wait).pipe(map(() => index))),
        concatMap((index) =>
          defer(() => ask(path, state).catch(() => null)).pipe(
            map((answer) => ({ state, package: answer, last: index === retries.length - 1 })),
          ),
        ),
        takeWhile(({ package: answer }) => isOpen(answer, state, changed), true),
      ),
    ),
  )
}

/** Whether asking again may bring another answer. */
function isOpen(answer: PackageFile | null, state: FileState | null, changed: boolean): boolean {
  if (answer?.matches === true && state !== null) return false
  // Nobody is changing it: what is not there now will not be in a second. A package that is being unpacked will.
  return changed || answer?.matches === null
}
