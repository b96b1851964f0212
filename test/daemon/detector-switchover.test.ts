import test from 'ava'
import { asyncScheduler, map, type Observable } from 'rxjs'
import { handOver } from '../../agent/daemon/detector-switchover.ts'
import { monitorIntegrity } from '../../detectors/monitor-integrity/index.ts'
import { marbles } from '../support/marbles.ts'
import { sampleDetection } from '../support/samples.ts'
import type { Detected } from '../../agent/daemon/detected.ts'

/** Detections of what happened at the frames that their letters stand for: a at 1, b at 2, … */
function at(letters$: Observable<string>, by: string): Observable<Detected> {
  return letters$.pipe(
    map((letter) => ({
      detector: monitorIntegrity,
      detection: sampleDetection({ time: letter.charCodeAt(0) - 96, summary: by + letter }),
    })),
  )
}

test('the last run judges what happened before, the next what happens from then on', (t) => {
  marbles(t, ({ cold, hot, expectObservable, expectSubscriptions }) => {
    const first = cold('-ab-c-fb---d|')
    const second = cold('--eb-h---|')
    const runs$ = hot('f---s').pipe(
      map((run) => ({ detected$: run === 'f' ? at(first, '1') : at(second, '2'), stopsLast: false })),
    )
    const told$ = handOver(runs$, () => asyncScheduler.now(), 6).pipe(
      map(({ detection }) => detection.summary),
    )
    expectObservable(told$).toBe('-ab-c-xy-z---', { a: '1a', b: '1b', c: '1c', x: '2e', y: '1b', z: '2h' })
    expectSubscriptions(first.subscriptions).toBe('^---------!')
    expectSubscriptions(second.subscriptions).toBe('----^--------!')
  })
})

test('a detector that is switched off is stopped at once', (t) => {
  marbles(t, ({ cold, hot, expectObservable, expectSubscriptions }) => {
    const first = cold('-a-b-c')
    const runs$ = hot('f--s').pipe(
      map((run) => ({
        detected$: run === 'f' ? at(first, '1') : at(cold('|'), '2'),
        stopsLast: run === 's',
      })),
    )
    const told$ = handOver(runs$, () => asyncScheduler.now(), 6).pipe(
      map(({ detection }) => detection.summary),
    )
    expectObservable(told$).toBe('-a', { a: '1a' })
    expectSubscriptions(first.subscriptions).toBe('^--!')
  })
})
