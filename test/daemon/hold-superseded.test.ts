import test, { type ExecutionContext } from 'ava'
import { asyncScheduler, map, type Observable, of, Subject } from 'rxjs'
import { detectorConfig } from '../../agent/config/schema.ts'
import { configuration } from '../../agent/daemon/configuration.ts'
import type { Detected } from '../../agent/daemon/detected.ts'
import { switchDetector } from '../../agent/daemon/detector-switchover.ts'
import { type HoldOptions, holdSuperseded } from '../../agent/daemon/hold-superseded.ts'
import { awaitedEvents } from '../../agent/findings/superseding-rules.ts'
import { openDatabase } from '../../agent/store/database.ts'
import { prepareTables } from '../../agent/store/tables.ts'
import { detectors } from '../../detectors/index.ts'
import { onlyOne, sampleFindings } from '../support/findings.ts'
import { execIntoContainer } from '../../detectors/exec-into-container/index.ts'
import { unexpectedRootProcess } from '../../detectors/unexpected-root-process/index.ts'
import { marbles } from '../support/marbles.ts'
import { sampleContainer, sampleDetection } from '../support/samples.ts'

const root = (supersedingEventKey: string, rest = {}): Detected => ({
  detector: unexpectedRootProcess,
  detection: sampleDetection({
    rule: 'root-in-nonroot-container',
    eventKey: 'p1',
    supersedingEventKey,
    ...rest,
  }),
})
const entry = (eventKey: string, rest = {}): Detected => ({
  detector: execIntoContainer,
  detection: sampleDetection({ rule: 'untracked-exec', eventKey, ...rest }),
})

// `r`, `s` and `q` are superseded by `e`, `e` and `f`; `x` is an exec.
const values: Record<string, Detected> = {
  r: root('1'),
  s: root('1', { subject: ['another'] }),
  q: root('2'),
  e: entry('1'),
  f: entry('2'),
  x: entry('1', { rule: 'exec-command' }),
  o: entry('1', { container: sampleContainer({ id: 'd'.repeat(64) }) }),
}

/** Waits for the event that a detection names. */
const awaitedBy: Parameters<typeof holdSuperseded>[0] = (_detector, { supersedingEventKey: eventKey }) =>
  eventKey === undefined ? [] : [{ rule: 'untracked-exec', eventKey }]

function holds(t: ExecutionContext, given: string, expected: string, options?: HoldOptions): void {
  marbles(t, ({ hot, expectObservable }) => {
    const letters = Object.fromEntries(Object.keys(values).map((letter) => [letter, letter]))
    const letterOf = (detected: Detected) =>
      Object.keys(values).find((letter) => values[letter] === detected) ?? '?'
    const passed$ = hot(given, values).pipe(holdSuperseded(awaitedBy, options), map(letterOf))
    expectObservable(passed$).toBe(expected, letters)
  })
}

test('a superseded detection passes right after the superseding one', (t) => {
  holds(t, 'r-s----e', '-------(ers)')
  holds(t, 'rq---e-------f', '-----(er)----(fq)')
})

test('a detection that nothing supersedes in time passes alone after 2 s', (t) => {
  holds(t, 'r', '2s r')
  holds(t, 'r 2s e', '2s re')
})

test('a detection of another rule or container, or with another key, supersedes nothing', (t) => {
  holds(t, 'rxof', '-xof 1996ms r')
})

test('what waits for nothing passes at once, in the same call', (t) => {
  const passed: unknown[] = []
  const detected$ = new Subject<Detected>()
  const subscription = detected$.pipe(holdSuperseded(awaitedBy)).subscribe((one) => passed.push(one))
  for (const one of [root('3'), entry('1'), entry('2')]) detected$.next(one)
  t.is(passed.length, 2)
  subscription.unsubscribe()
})

test('what is held passes when the detections end', (t) => {
  holds(t, 'r-q-|', '----(rq|)')
})

test('beyond the limit nothing is held', (t) => {
  holds(t, 'rs-e----q', '-s-(er)- 2s q', { maxHeld: 1 })
})

test('a failing decision ends nothing, and its detection passes', (t) => {
  const passed: Detected[] = []
  const fail = () => {
    throw new Error('no store')
  }
  of(root('1'))
    .pipe(holdSuperseded(fail))
    .subscribe((one) => passed.push(one))
  t.is(passed.length, 1)
})

test('what is held outlives the run of its detector', (t) => {
  marbles(t, ({ cold, hot, expectObservable }) => {
    const held$: Observable<Detected> = cold('-r', { r: root('1', { time: 1 }) })
    const runs$ = hot('f--s').pipe(
      map((run) => ({ detected$: run === 'f' ? held$ : cold<Detected>(''), stopsLast: run === 's' })),
    )
    const passed$ = switchDetector(runs$, () => asyncScheduler.now(), 6).pipe(
      holdSuperseded(awaitedBy),
      map(() => 'r'),
    )
    expectObservable(passed$).toBe('- 2s r')
  })
})

test('two detections of one act are one finding, whichever comes first, unless they are over 2 s apart', (t) => {
  const once = ['untracked-exec', 'untracked-exec +root-in-nonroot-container']
  const twice = ['root-in-nonroot-container', 'untracked-exec']
  publishes(t, 'r 1s e', '- 1s (ab)', once)
  publishes(t, 'e 1s r', 'a 1s b', once)
  publishes(t, 'r 3s e', '2s a 1s b', twice)
})

/** Runs detections through the hold and the findings to the store; a and b are what is published. */
function publishes(t: ExecutionContext, given: string, expected: string, [a, b]: string[]): void {
  const config = configuration.defaults()
  const store = prepareTables(openDatabase(':memory:'))
  const configOf = (name: string) => detectorConfig(config, name)
  const findings = sampleFindings({ findByEventKey: store.findByEventKey })
  const { isReported } = findings
  marbles(t, ({ hot, expectObservable }) => {
    const published$ = hot(given, values).pipe(
      holdSuperseded(awaitedEvents({ detectors, configOf, isReported })),
      map(({ detector, detection }) => {
        const publication = onlyOne(findings.from(detector, detection))
        if (publication === null) return 'nothing'
        const { finding, eventKey } = publication
        store.save(finding, eventKey, [], 2_000_004)
        const { also } = finding.evidence
        return Array.isArray(also) ? `${finding.rule} +${also.join(' +')}` : finding.rule
      }),
    )
    expectObservable(published$).toBe(expected, { a, b })
  })
}
