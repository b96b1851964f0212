import { defer, EMPTY, filter, map, merge, mergeMap, type Observable, of, take, tap, timer } from 'rxjs'
import type { Memory, Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { PackageFile, RuntimeFileObservation } from '../../agent/model/observation.ts'
import { type Change, isChange, tampered, upgraded } from './describe.ts'
import { integrity } from './integrity.ts'
import { isAccepted, type KnownBinary, readBinary } from './known-binaries.ts'
import { upgradeTracker } from './upgrades.ts'
import { managerIn, type Signs, type Verdict, verdictOn } from './verdict.ts'

/**
 * Reports changes of the runtime's programs as upgrades or tampering, and programs that are not what they should be.
 */
export function binaryDetections({ on, memory }: Pick<Observed, 'on' | 'memory'>): Observable<Detection> {
  return defer(() => {
    const binaries$ = on('runtime-file').pipe(filter(({ file }) => file === 'binary'))
    const judge = judgement(binaries$, memory)
    const changes$ = binaries$.pipe(filter(isChange), mergeMap(judge))
    return merge(changes$, integrity(binaries$, memory))
  })
}

// A second change must not hide the first one. Upgrades, however, consist of several steps.
const overtaken: Verdict = {
  is: 'tampering',
  why: 'it was changed again before it could be recognised as an upgrade',
}
const ignored: Verdict = { is: 'wait' }

// When to judge without an answer, if the package managers do not respond or the source fails meanwhile.
const timeoutsMs = [5_000, 65_000]

function judgement(binaries$: Observable<RuntimeFileObservation>, memory: Memory) {
  const upgrades = upgradeTracker()
  return (change: Change): Observable<Detection> => {
    const { path, after, time } = change
    // Read before the same observations update the record.
    const before = readBinary(memory, path)
    const manager = managerIn(change)
    let answer: RuntimeFileObservation['package']

    const verdict = (age: number): Verdict =>
      verdictOn({
        change: change.change,
        manager,
        inContainer: change.container !== null,
        digest: digestSign(change, answer, before !== null && before.package !== ''),
        accepted: !change.isUpdate && (change.accepted === true || isAccepted(memory, path, after?.sha256)),
        age,
      })
    const detection = (is: Verdict): Detection[] => {
      if (is.is === 'wait') return []
      if (is.is === 'tampering') return [tampered(change, is.why)]
      const byPackage = answer ?? packageBefore(before)
      const isOfPackage = answer?.matches === true || after === null
      const packaged = isOfPackage ? byPackage : null
      return [upgraded(change, packaged, upgrades.take(change, packaged, before?.version ?? ''))]
    }

    const immediate = verdict(0)
    // Reported before the file was read: a verdict that needs the digest waits for it.
    if (after?.sha256 === '' && immediate.is !== 'tampering') return EMPTY
    if (immediate.is !== 'wait') return of(...detection(immediate))
    const ofFile$ = binaries$.pipe(filter((seen) => seen.path === path))
    const answers$ = ofFile$.pipe(
      filter((seen) => seen.change === 'verified' && seen.after?.sha256 === after?.sha256),
      tap((seen) => (answer = seen.package)),
      map((seen) => seen.time - time),
    )
    const timeouts$ = merge(...timeoutsMs.map((ms) => timer(ms).pipe(map(() => ms))))
    const decided$ = merge(answers$, timeouts$).pipe(
      map(verdict),
      filter(({ is }) => is !== 'wait'),
    )
    const overtaken$ = ofFile$.pipe(
      filter(isChange),
      map((next) => (manager === 'yes' && managerIn(next) === 'yes' ? ignored : overtaken)),
    )
    return merge(decided$, overtaken$).pipe(take(1), mergeMap(detection))
  }
}

function digestSign(
  { change }: Change,
  answer: RuntimeFileObservation['package'],
  hadPackage: boolean,
): Signs['digest'] {
  if (answer === undefined) return 'unasked'
  // Removed with its package: a file that no package contains any longer may be absent.
  if (change === 'removed') return answer === null && hadPackage ? 'matches' : 'differs'
  if (answer === null) return 'no-package'
  return answer.matches === true ? 'matches' : 'differs'
}

function packageBefore(before: KnownBinary | null): PackageFile | null {
  if (before === null || before.manager === '') return null
  return { manager: before.manager, name: before.package, version: before.version, matches: null }
}
