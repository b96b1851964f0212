import { filter, from, merge, mergeMap, type Observable, timer } from 'rxjs'
import type { Memory } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { RuntimeFileObservation } from '../../agent/model/observation.ts'
import { isChange, mismatch } from './describe.ts'
import { isAccepted, readBinary, type Trust, writeBinary } from './known-binaries.ts'

// A change is told as an event; that it was not undone in this time is told as a condition.
const changeMs = 60_000

// `tidewatch runtime accept` writes beside the daemon, and is to be in force at once.
const acceptedEveryMs = 1_000

/** Keeps what every program is and should be, and tells those that differ until they do not. */
export function integrity(
  binaries$: Observable<RuntimeFileObservation>,
  memory: Memory,
): Observable<Detection> {
  const changedAt = new Map<string, number>()
  const states = new Map<string, 'well' | 'firing'>()
  const firing = new Map<string, RuntimeFileObservation>()

  function look(seen: RuntimeFileObservation): Detection[] {
    const { path, after, time } = seen
    if (isChange(seen)) changedAt.set(path, time)
    if (after === null) return become('well', seen)
    if (seen.change === 'found') firstSeen(seen)
    if (seen.change !== 'verified') return []
    const trust = trustIn(seen, memory)
    remember(seen, trust)
    if (trust !== 'differs') return become('well', seen)
    // An event tells it first.
    return time - (changedAt.get(path) ?? -Infinity) < changeMs ? [] : become('firing', seen)
  }

  function become(state: 'well' | 'firing', seen: RuntimeFileObservation): Detection[] {
    const { path } = seen
    if (state === 'firing') firing.set(path, seen)
    else firing.delete(path)
    if (states.get(path) === state) return []
    states.set(path, state)
    const expected = readBinary(memory, path)?.expected ?? ''
    // Also when nothing fired in this run: what an earlier one left firing is over.
    return [mismatch(seen, state === 'firing' ? 'firing' : 'resolved', expected)]
  }

  /** What no package has is taken as it is at first sight; so is all until its package was asked. */
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
    mergeMap((seen) => look(seen)),
  )
  return merge(binaries$.pipe(mergeMap((seen) => look(seen))), accepted$)
}

/** Why a program may be what it is now. */
export function trustIn(
  { path, after, package: of, accepted }: RuntimeFileObservation,
  memory: Memory,
): Trust {
  const sha256 = after?.sha256 ?? ''
  if (of?.matches === true) return 'package'
  if (accepted === true || isAccepted(memory, path, sha256)) return 'accepted'
  const known = readBinary(memory, path)
  const isExpected = known === null || known.expected === sha256
  // Of the package's files that it keeps no digest of, what was there before is all there is to compare with.
  if (of?.matches === false || !isExpected) return 'differs'
  return known === null || known.trust === 'differs' ? 'first-seen' : known.trust
}
