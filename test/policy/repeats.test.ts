import test from 'ava'
import { asyncScheduler, concatMap, interval, map, merge, takeWhile } from 'rxjs'
import { createRepeats, type RepeatsOptions } from '../../agent/policy/repeats.ts'
import type { Finding } from '../../agent/model/finding.ts'
import { marbles } from '../support/marbles.ts'
import { sampleFinding } from '../support/samples.ts'

function setUp(options: Partial<RepeatsOptions> & { fold?: number } = {}) {
  const clock = { now: 0 }
  const repeats = createRepeats({ foldMs: () => options.fold ?? 300_000, now: () => clock.now, ...options })
  /** Reports the finding, unless it is a repeat. */
  function give(rest: Partial<Finding> = {}, eventKey: string | null = null): 'reported' | 'folded' {
    const finding = sampleFinding(rest)
    if (repeats.fold(finding, eventKey)) return 'folded'
    repeats.open(finding)
    return 'reported'
  }
  return { ...repeats, clock, give }
}

test('repeats are folded into the first finding, and their count and time are emitted each second', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const { give, take } = setUp({ fold: 3_000, now: () => asyncScheduler.now() })
    let id = 0
    const found$ = hot('a 499ms a a 999ms b 999ms a 1s a|').pipe(
      map((fingerprint) => {
        id += 1
        const last_seen = new Date(asyncScheduler.now()).toISOString()
        return `${fingerprint}${id} ${give({ id: String(id), fingerprint, last_seen })}`
      }),
    )
    const folded$ = interval(1_000).pipe(
      takeWhile(() => asyncScheduler.now() < 4_500),
      concatMap(() => take()),
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

test('people are notified of repeats at most once a minute, and of the last ones at the latest then', (t) => {
  const { give, take, clock } = setUp()
  const notified: string[] = []
  give({ id: '1' })
  for (clock.now = 1_000; clock.now <= 300_000; clock.now += 1_000) {
    if (clock.now < 100_000) give({ id: 'repeat' })
    for (const { id, isDue } of take()) if (isDue) notified.push(`${id} at ${clock.now / 1_000}`)
  }
  t.deepEqual(notified, ['1 at 60', '1 at 120'])
  give({ id: '2' })
  give({ id: 'repeat' })
  t.like(take(true), [{ id: '2', count: 1, isDue: true }])
  t.deepEqual(take(true), [])
})

test('findings with another fingerprint, and allowed findings, are not folded into it', (t) => {
  const { give } = setUp()
  t.is(give({ fingerprint: 'a' }), 'reported')
  t.is(give({ fingerprint: 'b' }), 'reported')
  t.is(give({ fingerprint: 'a', state: 'suppressed' }), 'reported')
  t.is(give({ fingerprint: 'a' }), 'folded')
  t.is(give({ fingerprint: 'a', state: 'suppressed' }), 'folded')
})

test('with a fold time of 0, each finding is reported', (t) => {
  const { give } = setUp({ fold: 0 })
  t.deepEqual(
    [1, 2, 3].map(() => give()),
    ['reported', 'reported', 'reported'],
  )
})

test('a forgotten finding takes no repeats', (t) => {
  const { give, forget } = setUp()
  give()
  forget(sampleFinding())
  t.is(give(), 'reported')
})

test('the folds of an earlier run continue for their remaining time', (t) => {
  const earlier = sampleFinding({ id: 'earlier', count: 3 })
  const { give, clock, take, repetitions } = setUp({
    fold: 1_000,
    reported: [sampleFinding({ fingerprint: 'other' }), earlier],
  })
  clock.now = Date.parse('2026-11-23T17:42:10.123Z') + 999
  t.is(repetitions(earlier), 2)
  t.is(give(), 'folded')
  t.deepEqual(take(), [{ id: 'earlier', count: 1, lastSeen: earlier.last_seen, isDue: false }])
  clock.now += 1
  t.is(give(), 'reported')
})

test('a repeat whose actor turns out to be another one is taken out of its fold', (t) => {
  const { give, separate, identify, take } = setUp()
  give({ id: '1', fingerprint: 'unknown' }, 'e1')
  t.is(give({ id: '2', fingerprint: 'unknown' }, 'e2'), 'folded')
  t.is(give({ id: '3', fingerprint: 'unknown' }, 'e3'), 'folded')
  take()
  identify(sampleFinding({ id: '1', fingerprint: 'unknown' }), 'alice')
  const separated = (fingerprint: string, eventKey: string) =>
    separate(sampleFinding({ id: 'new', fingerprint }), eventKey)
  t.is(separated('unknown', 'e2'), 'repeat')
  t.is(separated('alice', 'e2'), 'repeat')
  t.is(separated('mallory', 'e3'), 'other-act')
  t.like(take(), [{ id: '1', count: -1 }])
  t.is(separated('mallory', 'e3'), 'unknown')
  t.is(separated('mallory', 'never folded'), 'unknown')
})

test('what becomes known of a finding also identifies its later repeats', (t) => {
  const { give, identify } = setUp()
  give({ id: '1', fingerprint: 'unknown' })
  identify(sampleFinding({ id: '1', fingerprint: 'unknown' }), 'alice')
  t.is(give({ id: '2', fingerprint: 'alice' }), 'folded')
  t.is(give({ id: '3', fingerprint: 'mallory' }), 'reported')
})

test('an update that comes after a newer fold opened is compared with its own', (t) => {
  const { give, separate, clock } = setUp({ fold: 1_000 })
  give({ id: '1' })
  t.is(give({ id: '2' }, 'e2'), 'folded')
  clock.now = 1_000
  t.is(give({ id: '3' }), 'reported')
  t.is(separate(sampleFinding({ id: '4' }), 'e2'), 'repeat')
})

test('100,000 different acts use bounded memory', (t) => {
  const { give } = setUp()
  for (let n = 0; n < 100_000; n += 1) give({ id: String(n), fingerprint: `f${n}` }, `e${n}`)
  // The oldest folds were dropped: the first finding is reported again, the last is folded.
  t.is(give({ fingerprint: 'f0' }), 'reported')
  t.is(give({ fingerprint: 'f99999' }), 'folded')
})
