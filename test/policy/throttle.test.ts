import test from 'ava'
import { asyncScheduler, concatMap, interval, map, merge, takeWhile } from 'rxjs'
import { createThrottle } from '../../agent/policy/throttle.ts'
import { throttledDetection } from '../../agent/policy/throttled-detection.ts'
import { marbles } from '../support/marbles.ts'
import { sampleFinding } from '../support/samples.ts'

const unlimited = { per_container: 1_000_000, per_rule: 1_000_000 }

test('repeats are folded into the first finding, and their count and time are emitted each second', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const throttle = createThrottle({
      settings: () => ({ fold: 3_000, ...unlimited }),
      now: () => asyncScheduler.now(),
    })
    let id = 0
    const found$ = hot('a 499ms a a 999ms b 999ms a 1s a|').pipe(
      map((fingerprint) => {
        id += 1
        const last_seen = new Date(asyncScheduler.now()).toISOString()
        return `${fingerprint}${id} ${throttle.admit(sampleFinding({ id: String(id), fingerprint, last_seen }))}`
      }),
    )
    const folded$ = interval(1_000).pipe(
      takeWhile(() => asyncScheduler.now() < 4_500),
      concatMap(() => throttle.takeRepeats()),
      map((folded) => `${folded.id}+${folded.count} ${folded.lastSeen.slice(17, 23)}`),
    )
    const seen = {
      a: 'a1 reported',
      b: 'a2 folded',
      c: 'a3 folded',
      d: '1+2 00.501',
      e: 'b4 reported',
      f: 'a5 folded',
      g: '1+1 02.501',
      h: 'a6 reported',
    }
    expectObservable(merge(found$, folded$)).toBe(
      'a 499ms b c 498ms d 500ms e 999ms f 498ms g 501ms h 1497ms |',
      seen,
    )
  })
})

test('findings with another fingerprint, and allowed findings, are not folded into it', (t) => {
  const { admit } = createThrottle({ settings: () => ({ fold: 1_000, ...unlimited }), now: () => 0 })
  t.is(admit(sampleFinding({ fingerprint: 'a' })), 'reported')
  t.is(admit(sampleFinding({ fingerprint: 'b' })), 'reported')
  t.is(admit(sampleFinding({ fingerprint: 'a', state: 'suppressed' })), 'reported')
  t.is(admit(sampleFinding({ fingerprint: 'a' })), 'folded')
  t.is(admit(sampleFinding({ fingerprint: 'a', state: 'suppressed' })), 'folded')
})

test('with a fold time of 0, each finding is reported', (t) => {
  const { admit } = createThrottle({ settings: () => ({ fold: 0, ...unlimited }), now: () => 0 })
  t.deepEqual(
    [1, 2, 3].map(() => admit(sampleFinding())),
    ['reported', 'reported', 'reported'],
  )
})

test('a forgotten finding opens no fold', (t) => {
  const { admit, forget } = createThrottle({ settings: () => ({ fold: 1_000, ...unlimited }), now: () => 0 })
  admit(sampleFinding())
  forget(sampleFinding())
  t.is(admit(sampleFinding()), 'reported')
})

test('the folds of an earlier run continue for their remaining time', (t) => {
  let time = Date.parse('2026-11-23T17:42:10.123Z') + 999
  const earlier = sampleFinding({ id: 'earlier', count: 3, evidence: { repeated: ['first'] } })
  const throttle = createThrottle({
    settings: () => ({ fold: 1_000, ...unlimited }),
    now: () => time,
    reported: [sampleFinding({ fingerprint: 'other' }), earlier],
  })
  t.is(throttle.repetitions(earlier), 2)
  t.is(throttle.admit(sampleFinding({ summary: 'second' })), 'folded')
  t.deepEqual(throttle.takeRepeats(), [
    { id: 'earlier', count: 1, lastSeen: earlier.last_seen, summaries: ['first', 'second'] },
  ])
  time += 1
  t.is(throttle.admit(sampleFinding()), 'reported')
})

test('the first ten different summaries of repeats are stored', (t) => {
  const throttle = createThrottle({ settings: () => ({ fold: 1_000, ...unlimited }), now: () => 0 })
  for (let n = 0; n < 50; n += 1) throttle.admit(sampleFinding({ id: String(n), summary: `ran ${n % 20}` }))
  const [folded] = throttle.takeRepeats()
  t.is(folded?.count, 49)
  t.is(folded?.id, '0')
  t.deepEqual(
    folded?.summaries,
    Array.from({ length: 10 }, (_, n) => `ran ${n + 1}`),
  )
  t.deepEqual(throttle.takeRepeats(), [])
})

test('a budget holds one minute’s findings, refills over a minute, and each severity has its own', (t) => {
  let time = 0
  const throttle = createThrottle({
    settings: () => ({ fold: 0, per_container: 3, per_rule: 100 }),
    now: () => time,
  })
  const admit = (rest = {}) => throttle.admit(sampleFinding(rest))
  t.deepEqual(
    [1, 2, 3, 4].map(() => admit()),
    ['reported', 'reported', 'reported', 'over-budget'],
  )
  t.is(admit({ severity: 'critical' }), 'reported')
  t.is(admit({ container: null }), 'reported')
  t.is(admit({ state: 'suppressed' }), 'reported')
  time = 20_000
  t.deepEqual(
    [1, 2].map(() => admit()),
    ['reported', 'over-budget'],
  )
  time = 10_000
  t.is(admit(), 'over-budget')
})

test('a rule has one budget for all containers', (t) => {
  const throttle = createThrottle({
    settings: () => ({ fold: 0, per_container: 10, per_rule: 2 }),
    now: () => 0,
  })
  const admit = (name: string, rule: string) =>
    throttle.admit(sampleFinding({ rule, container: { ...sampleFinding().container!, id: name } }))
  t.deepEqual(
    [admit('a', 'x'), admit('b', 'x'), admit('c', 'x'), admit('c', 'y')],
    ['reported', 'reported', 'over-budget', 'reported'],
  )
})

test('throttled findings are reported once, by container and rule', (t) => {
  let time = 1_000
  const throttle = createThrottle({
    settings: () => ({ fold: 0, per_container: 1, per_rule: 9 }),
    now: () => time,
  })
  t.is(throttle.takeThrottled(), null)
  for (let n = 0; n < 4; n += 1) throttle.admit(sampleFinding())
  throttle.admit(sampleFinding({ rule: 'exec-as-root' }))
  time = 61_000
  const throttled = throttle.takeThrottled()
  if (throttled === null) throw new Error('nothing was throttled')
  t.like(throttledDetection(throttled, time), {
    rule: 'findings-throttled',
    summary:
      '4 more findings suppressed in the last minute: 3 interactive-shell in web-1, 1 exec-as-root in web-1',
    container: { name: 'web-1' },
    evidence: { count: 4, since: '1970-01-01T00:00:01.000Z' },
  })
  t.is(throttle.takeThrottled(), null)
})

test('100,000 different findings use bounded memory', (t) => {
  let time = 0
  const throttle = createThrottle({ settings: () => ({ fold: 60_000, ...unlimited }), now: () => time })
  for (let n = 0; n < 100_000; n += 1) {
    const container = { ...sampleFinding().container!, id: `c${n}`, name: `c${n}` }
    throttle.admit(sampleFinding({ id: String(n), fingerprint: `f${n}`, container }))
  }
  // The oldest folds were dropped: the first finding is reported again, the last is folded.
  t.is(throttle.admit(sampleFinding({ fingerprint: 'f0' })), 'reported')
  t.is(throttle.admit(sampleFinding({ fingerprint: 'f99999' })), 'folded')
  time = 120_000
  t.is(throttle.takeThrottled(), null)
})
