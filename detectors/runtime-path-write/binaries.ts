import { defer, EMPTY, filter, map, merge, mergeMap, type Observable, of, take, tap, timer } from 'rxjs'
import type { Memory, Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { PackageFile, RuntimeFileObservation } from '../../agent/model/observation.ts'
import { type Change, isChange, tampered, upgraded } from './describe.ts'
import { integrity } from './integrity.ts'
import { isAccepted, type KnownBinary, readBinary } from './known-binaries.ts'
import { upgradeLedger } from './upgrades.ts'
import { managerIn, type Signs, type Verdict, verdictOn } from './verdict.ts'

/** Tells changes of the runtime's programs, upgrades apart from tampering, and programs that are not what they should be. */
export function binaryDetections({
  runtimeFiles$,
  memory,
}: Pick<Observed, 'runtimeFiles$' | 'memory'>): Observable<Detection> {
  return defer(() => {
    const binaries$ = runtimeFiles$.pipe(filter(({ file }) => file === 'binary'))
    const judge = judgement(binaries$, memory)
    const changes$ = binaries$.pipe(filter(isChange), mergeMap(judge))
    return merge(changes$, integrity(binaries$, memory))
  })
}

// Whoever changes a file again does not make the first change unsaid; but upgrades come in several steps.
const overtaken: Verdict = {
  is: 'tampering',
  why: 'it was changed again before it could be told for an upgrade',
}
const nothing: Verdict = { is: 'wait' }

// Should the package managers not answer, or the source fail meanwhile: when to judge without.
const anywayMs = [5_000, 65_000]

function judgement(binaries$: Observable<RuntimeFileObservation>, memory: Memory) {
  const upgrades = upgradeLedger()
  return (change: Change): Observable<Detection> => {
    const { path, after, time } = change
    // Before the same observations are taken for what is now.
    const before = readBinary(memory, path)
    const manager = managerIn(change)
    let said: RuntimeFileObservation['package']

    const verdict = (age: number): Verdict =>
      verdictOn({
        change: change.change,
        manager,
        inContainer: change.container !== null,
        digest: digestSign(change, said, before !== null && before.package !== ''),
        accepted: !change.completes && (change.accepted === true || isAccepted(memory, path, after?.sha256)),
        age,
      })
    const detection = (is: Verdict): Detection[] => {
      if (is.is === 'wait') return []
      if (is.is === 'tampering') return [tampered(change, is.why)]
      const byPackage = said ?? packageBefore(before)
      const isOfPackage = said?.matches === true || after === null
      const packaged = isOfPackage ? byPackage : null
      return [upgraded(change, packaged, upgrades.take(change, packaged, before?.version ?? ''))]
    }

    const atOnce = verdict(0)
    // Told before it was read: what has to wait for the digest is judged when that is there.
    if (after?.sha256 === '' && atOnce.is !== 'tampering') return EMPTY
    if (atOnce.is !== 'wait') return of(...detection(atOnce))
    const ofFile$ = binaries$.pipe(filter((seen) => seen.path === path))
    const answers$ = ofFile$.pipe(
      filter((seen) => seen.change === 'verified' && seen.after?.sha256 === after?.sha256),
      tap((seen) => (said = seen.package)),
      map((seen) => seen.time - time),
    )
    const anyway$ = merge(...anywayMs.map((ms) => timer(ms).pipe(map(() => ms))))
    const decided$ = merge(answers$, anyway$).pipe(
      map(verdict),
      filter(({ is }) => is !== 'wait'),
    )
    const overtaken$ = ofFile$.pipe(
      filter(isChange),
      map((next) => (manager === 'yes' && managerIn(next) === 'yes' ? nothing : overtaken)),
    )
    return merge(decided$, overtaken$).pipe(take(1), mergeMap(detection))
  }
}

function digestSign(
  { change }: Change,
  said: RuntimeFileObservation['package'],
  hadPackage: boolean,
): Signs['digest'] {
  if (said === undefined) return 'unasked'
  // Removed with its package: what no package has any more need not be there.
  if (change === 'removed') return said === null && hadPackage ? 'matches' : 'differs'
  if (said === null) return 'no-package'
  return said.matches === true ? 'matches' : 'differs'
}

function packageBefore(before: KnownBinary | null): PackageFile | null {
  if (before === null || before.manager === '') return null
  return { manager: before.manager, name: before.package, version: before.version, matches: null }
}
