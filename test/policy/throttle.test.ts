import test from 'ava'
import { asyncScheduler, concatMap, interval, map, merge, takeWhile } from 'rxjs'
import { createThrottle } from '../../agent/policy/throttle.ts'
import { excessDetection } from '../../agent/policy/excess.ts'
import { marbles } from '../support/marbles.ts'
import { sampleFinding } from '../support/samples.ts'

const unlimited = { per_container: 1_000_000, per_rule: 1_000_000 }

test('what repeats within the time is folded into the first, with count and last time each second', (t) => {
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
      concatMap(() => throttle.takeFolded()),
      map((folded) => `${folded.id}+${folded.count} ${folded.lastSeen.slice(17, 23)}`),
    )
    const seen = {
      a: 'a1 told',
      b: 'a2 folded',
      c: 'a3 folded',
      d: '1+2 00.501',
      e: 'b4 told',
      f: 'a5 folded',
      g: '1+1 02.501',
      h: 'a6 told',
    }
    expectObservable(merge(found$, folded$)).toBe(
      'a 499ms b c 498ms d 500ms e 999ms f 498ms g 501ms h 1497ms |',
      seen,
    )
  })
})

test('findings of another fingerprint, or that are allowed, are not folded into it', (t) => {
  const { admit } = createThrottle({ settings: () => ({ fold: 1_000, ...unlimited }), now: () => 0 })
  t.is(admit(sampleFinding({ fingerprint: 'a' })), 'told')
  t.is(admit(sampleFinding({ fingerprint: 'b' })), 'told')
  t.is(admit(sampleFinding({ fingerprint: 'a', state: 'suppressed' })), 'told')
  t.is(admit(sampleFinding({ fingerprint: 'a' })), 'folded')
  t.is(admit(sampleFinding({ fingerprint: 'a', state: 'suppressed' })), 'folded')
})

test('without a time to fold in, each is told', (t) => {
  const { admit } = createThrottle({ settings: () => ({ fold: 0, ...unlimited }), now: () => 0 })
  t.deepEqual(
    [1, 2, 3].map(() => admit(sampleFinding())),
    ['told', 'told', 'told'],
  )
})

test('what was told by mistake opens no fold', (t) => {
  const { admit, forget } = createThrottle({ settings: () => ({ fold: 1_000, ...unlimited }), now: () => 0 })
  admit(sampleFinding())
  forget(sampleFinding())
  t.is(admit(sampleFinding()), 'told')
})

test('what an earlier run told goes on to be repeated, for as long as it would have', (t) => {
  let time = Date.parse('2026-11-23T17:42:10.123Z') + 999
  const earlier = sampleFinding({ id: 'earlier', count: 3, evidence: { repeated: ['first'] } })
  const throttle = createThrottle({
    settings: () => ({ fold: 1_000, ...unlimited }),
    now: () => time,
    told: [sampleFinding({ fingerprint: 'other' }), earlier],
  })
  t.is(throttle.repetitions(earlier), 2)
  t.is(throttle.admit(sampleFinding({ summary: 'second' })), 'folded')
  t.deepEqual(throttle.takeFolded(), [
    { id: 'earlier', count: 1, lastSeen: earlier.last_seen, summaries: ['first', 'second'] },
  ])
  time += 1
  t.is(throttle.admit(sampleFinding()), 'told')
})

test('different summaries of repetitions are kept, the first ten', (t) => {
  const throttle = createThrottle({ settings: () => ({ fold: 1_000, ...unlimited }), now: () => 0 })
  for (let n = 0; n < 50; n += 1) throttle.admit(sampleFinding({ id: String(n), summary: `ran ${n % 20}` }))
  const [folded] = throttle.takeFolded()
  t.is(folded?.count, 49)
  t.is(folded?.id, '0')
  t.deepEqual(
    folded?.summaries,
    Array.from({ length: 10 }, (_, n) => `ran ${n + 1}`),
  )
  t.deepEqual(throttle.takeFolded(), [])
})

test('a budget is a minute’s worth, refills over a minute, and each severity has its own', (t) => {
  let time = 0
  const throttle = createThrottle({
    settings: () => ({ fold: 0, per_container: 3, per_rule: 100 }),
    now: () => time,
  })
  const admit = (rest = {}) => throttle.admit(sampleFinding(rest))
  t.deepEqual(
    [1, 2, 3, 4].map(() => admit()),
    ['told', 'told', 'told', 'over-budget'],
  )
  t.is(admit({ severity: 'critical' }), 'told')
  t.is(admit({ container: null }), 'told')
  t.is(admit({ state: 'suppressed' }), 'told')
  time = 20_000
  t.deepEqual(
    [1, 2].map(() => admit()),
    ['told', 'over-budget'],
  )
  time = 10_000
  t.is(admit(), 'over-budget')
})

test('a rule has a budget over all containers', (t) => {
  const throttle = createThrottle({
    settings: () => ({ fold: 0, per_container: 10, per_rule: 2 }),
    now: () => 0,
  })
  const admit = (name: string, rule: string) =>
    throttle.admit(sampleFinding({ rule, container: { ...sampleFinding().container!, id: name } }))
  t.deepEqual(
    [admit('a', 'x'), admit('b', 'x'), admit('c', 'x'), admit('c', 'y')],
    ['told', 'told', 'over-budget', 'told'],
  )
})

test('what is held back is announced once, by container and rule', (t) => {
  let time = 1_000
  const throttle = createThrottle({
    settings: () => ({ fold: 0, per_container: 1, per_rule: 9 }),
    now: () => time,
  })
  t.is(throttle.takeExcess(), null)
  for (let n = 0; n < 4; n += 1) throttle.admit(sampleFinding())
  throttle.admit(sampleFinding({ rule: 'exec-as-root' }))
  time = 61_000
  const excess = throttle.takeExcess()
  if (excess === null) throw new Error('refused')
  t.like(excessDetection(excess, time), {
    rule: 'findings-throttled',
    summary:
      '4 more findings suppressed in the last minute: 3 interactive-shell in web-1, 1 exec-as-root in web-1',
    container: { name: 'web-1' },
    evidence: { count: 4, since: '1970-01-01T00:00:01.000Z' },
  })
  t.is(throttle.takeExcess(), null)
})

test('100,000 findings of ever new kinds keep it small', (t) => {
  let time = 0
  const throttle = createThrottle({ settings: () => ({ fold: 60_000, ...unlimited }), now: () => time })
  for (let n = 0; n < 100_000; n += 1) {
    const container = { ...sampleFinding().container!, id: `c${n}`, name: `c${n}` }
    throttle.admit(sampleFinding({ id: String(n), fingerprint: `f${n}`, container }))
  }
  // The oldest folds are gone: the first is told again, the last is not.
  t.is(throttle.admit(sampleFinding({ fingerprint: 'f0' })), 'told')
  t.is(throttle.admit(sampleFinding({ fingerprint: 'f99999' })), 'folded')
  time = 120_000
  t.is(throttle.takeExcess(), null)
})
