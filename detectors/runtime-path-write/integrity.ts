import { filter, from, merge, mergeMap, type Observable, timer } from 'rxjs'
import type { Memory } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { RuntimeFileObservation } from '../../agent/model/observation.ts'
import { isChange, mismatch } from './describe.ts'
import { isAccepted, readBinary, type Trust, writeBinary } from './known-binaries.ts'

// A change is reported as an event; if it was not undone within this time, a condition fires too.
const changeMs = 60_000

// `tidewatch runtime accept` runs in another process, and must take effect immediately.
const acceptedEveryMs = 1_000

/** Records what every program is and should be, and reports the programs that differ until they no longer do. */
export function integrity(
  binaries$: Observable<RuntimeFileObservation>,
  memory: Memory,
): Observable<Detection> {
  const changedAt = new Map<string, number>()
  const states = new Map<string, 'matching' | 'firing'>()
  const firing = new Map<string, RuntimeFileObservation>()

  function examine(seen: RuntimeFileObservation): Detection[] {
    const { path, after, time } = seen
    if (isChange(seen)) changedAt.set(path, time)
    if (after === null) return setState('the file was removed', seen)
    if (seen.change === 'found') firstSeen(seen)
    if (seen.change !== 'verified') return []
    const trust = trustIn(seen, memory)
    remember(seen, trust)
    if (trust !== 'differs') return setState(resolutions[trust], seen)
    // The event is reported first.
    return time - (changedAt.get(path) ?? -Infinity) < changeMs ? [] : setState(null, seen)
  }

  /** `resolution` says why the program does not differ; null if it does. */
  function setState(resolution: string | null, seen: RuntimeFileObservation): Detection[] {
    const { path } = seen
    const state = resolution === null ? 'firing' : 'matching'
    if (state === 'firing') firing.set(path, seen)
    else firing.delete(path)
    if (states.get(path) === state) return []
    states.set(path, state)
    const expected = readBinary(memory, path)?.expected ?? ''
    // Resolved even if nothing fired in this run: an earlier run may have left the condition firing.
    return [mismatch(seen, expected, resolution)]
  }

  /** A file without a package is trusted as first seen; so is every file until its package has been queried. */
  function firstSeen({ path, after, time }: RuntimeFileObservation): void {
    if (after === null || readBinary(memory, path) !== null) return
    const { sha256 } = after
    const unpacked = { manager: '', package: '', version: '', trust: 'first-seen', seenAt: time } as const
    writeBinary(memory, path, { sha256, expected: sha256, ...unpacked })
  }

  function remember({ path, after, time, package: of }: RuntimeFileObservation, trust: Trust): void {
    const sha256 = after?.sha256 ?? ''
    const expected = trust === 'differs' ? (readBinary(memory, path)?.expected ?? '') : sha256
    const packed = {
      manager: of?.manager ?? ('' as const),
      package: of?.name ?? '',
      version: of?.version ?? '',
    }
    writeBinary(memory, path, { sha256, expected, ...packed, trust, seenAt: time })
  }

  const accepted$ = timer(acceptedEveryMs, acceptedEveryMs).pipe(
    mergeMap(() => from([...firing.values()])),
    filter(({ path, after }) => isAccepted(memory, path, after?.sha256)),
    mergeMap((seen) => examine(seen)),
  )
  return merge(binaries$.pipe(mergeMap((seen) => examine(seen))), accepted$)
}

const resolutions: Readonly<Record<Exclude<Trust, 'differs'>, string>> = {
  package: 'it matches its package again',
  accepted: 'its content was accepted',
  'first-seen': 'it has its recorded content again',
}

/** Why the current content of a program is trusted, or that it is not. */
export function trustIn(
  { path, after, package: of, accepted }: RuntimeFileObservation,
  memory: Memory,
): Trust {
  const sha256 = after?.sha256 ?? ''
  if (of?.matches === true) return 'package'
  if (accepted === true || isAccepted(memory, path, sha256)) return 'accepted'
  const known = readBinary(memory, path)
  const isExpected = known === null || known.expected === sha256
  // Files without a digest in their package can only be compared with their previous content.
  if (of?.matches === false || !isExpected) return 'differs'
  return known === null || known.trust === 'differs' ? 'first-seen' : known.trust
}
