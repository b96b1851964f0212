import test from 'ava'
import { asyncScheduler, map, type Observable } from 'rxjs'
import { switchDetector } from '../../agent/daemon/detector-switchover.ts'
import { monitorIntegrity } from '../../detectors/monitor-integrity/index.ts'
import { marbles } from '../support/marbles.ts'
import { sampleDetection } from '../support/samples.ts'
import type { Detected } from '../../agent/daemon/detected.ts'

/** Detections at the frame of their letter: a at 1, b at 2, … */
function at(letters$: Observable<string>, by: string): Observable<Detected> {
  return letters$.pipe(
    map((letter) => ({
      detector: monitorIntegrity,
      detection: sampleDetection({ time: letter.charCodeAt(0) - 96, summary: by + letter }),
    })),
  )
}

test('the previous run judges what happened before the switch, the next run what happens after it', (t) => {
  marbles(t, ({ cold, hot, expectObservable, expectSubscriptions }) => {
    const first = cold('-ab-c-fb---d|')
    const second = cold('--eb-h---|')
    const runs$ = hot('f---s').pipe(
      map((run) => ({ detected$: run === 'f' ? at(first, '1') : at(second, '2'), stopsLast: false })),
    )
    const detected$ = switchDetector(runs$, () => asyncScheduler.now(), 6).pipe(
      map(({ detection }) => detection.summary),
    )
    expectObservable(detected$).toBe('-ab-c-xy-z---', {
      a: '1a',
      b: '1b',
      c: '1c',
      x: '2e',
      y: '1b',
      z: '2h',
    })
    expectSubscriptions(first.subscriptions).toBe('^---------!')
    expectSubscriptions(second.subscriptions).toBe('----^--------!')
  })
})

test('a disabled detector stops at once', (t) => {
  marbles(t, ({ cold, hot, expectObservable, expectSubscriptions }) => {
    const first = cold('-a-b-c')
    const runs$ = hot('f--s').pipe(
      map((run) => ({
        detected$: run === 'f' ? at(first, '1') : at(cold('|'), '2'),
        stopsLast: run === 's',
      })),
    )
    const detected$ = switchDetector(runs$, () => asyncScheduler.now(), 6).pipe(
      map(({ detection }) => detection.summary),
    )
    expectObservable(detected$).toBe('-a', { a: '1a' })
    expectSubscriptions(first.subscriptions).toBe('^--!')
  })
})
