import { concatMap, defer, from, map, type Observable, switchMap, takeWhile, timer } from 'rxjs'
import type { FileState, PackageFile } from '../../../model/observation.ts'

/** Asks the package managers of the host about a file; null when no package owns it. */
export type AskPackages = (path: string, state: FileState | null) => Promise<PackageFile | null>

// A package manager first puts the file in place and then records its digest: dpkg within some milliseconds, others
// when the whole package is unpacked. Milliseconds after the change.
const retries = [0, 100, 1_000, 10_000, 60_000]

/** The current state of a file, and whether it was changed or merely found in that state. */
export type Settled = { state: FileState | null; changed: boolean }

/**
 * Asks the package managers about a file after each of its changes, until they report that it is as packed or it is
 * clear that they will not. A failure to read their databases counts as a file that no package owns.
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
        takeWhile(({ package: answer }) => mayChange(answer, state, changed), true),
      ),
    ),
  )
}

/** Whether asking again may give another answer. */
function mayChange(answer: PackageFile | null, state: FileState | null, changed: boolean): boolean {
  if (answer?.matches === true && state !== null) return false
  // If no process changed the file, an entry that is missing now will not appear within a second. That of a package
  // that is being unpacked will.
  return changed || answer?.matches === null
}
