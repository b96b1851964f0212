import test from 'ava'
import { map } from 'rxjs'
import type { EventsLost } from '../../../agent/model/observation.ts'
import { monitorIntegrity } from '../../../detectors/monitor-integrity/index.ts'
import { marbles } from '../../support/marbles.ts'
import { silent } from '../../support/observed.ts'
import { sampleContainer, sampleSourceStatus as status } from '../../support/samples.ts'

const settings = { degraded_hold: 4, lost_window: 6 }

const down = status({ up: false, mode: '', best: false, reason: 'no engine' })
const degraded = status({ mode: 'procfs', best: false, reason: 'no BTF' })
const lost = (count: number, rest: Partial<EventsLost> = {}): EventsLost => ({
  kind: 'events-lost',
  time: 0,
  source: 'docker-events',
  reason: 'gap',
  count,
  ...rest,
})

test('a source that is down for long enough is a condition, until it is well', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const sourceStatuses$ = hot('w-d-d-----w', { w: status(), d: down })
    const states$ = monitorIntegrity
      .detect({ ...silent, sourceStatuses$ }, settings)
      .pipe(map(({ state }) => state))
    expectObservable(states$).toBe('r-----f---r', { r: 'resolved', f: 'firing' })
  })
})

test('a restart of the engine is no news', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const sourceStatuses$ = hot('w-d-w', { w: status(), d: down })
    const states$ = monitorIntegrity
      .detect({ ...silent, sourceStatuses$ }, settings)
      .pipe(map(({ state }) => state))
    expectObservable(states$).toBe('r---r', { r: 'resolved' })
  })
})

test('a source in a lesser mode says so with its reason, and each source for itself', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const sourceStatuses$ = hot('ab', {
      a: degraded,
      b: status({ source: 'resources', mode: 'stats-api', best: false, reason: 'no BTF' }),
    })
    const summaries$ = monitorIntegrity
      .detect({ ...silent, sourceStatuses$ }, settings)
      .pipe(map(({ summary }) => summary))
    expectObservable(summaries$).toBe('----ab', {
      a: 'source processes works in mode procfs only: no BTF',
      b: 'source resources works in mode stats-api only: no BTF',
    })
  })
})

test('the first loss is told at once, what follows within the window as one sum at its end', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const eventsLost$ = hot('a-bb----b---------c', {
      a: lost(1),
      b: lost(10),
      c: lost(5, { reason: 'invalid' }),
    })
    const counts$ = monitorIntegrity
      .detect({ ...silent, eventsLost$ }, settings)
      .pipe(map(({ evidence }) => evidence['count']))
    expectObservable(counts$, '-------------------!').toBe('a-----b-c---------d', {
      a: 1,
      b: 20,
      c: 10,
      d: 5,
    })
  })
})

test('what one container’s budget cost is told of that container', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const container = sampleContainer()
    const eventsLost$ = hot('ab', {
      a: lost(7, { source: 'processes', reason: 'over-budget', container }),
      b: lost(3, { source: 'processes', reason: 'over-budget' }),
    })
    const told$ = monitorIntegrity
      .detect({ ...silent, eventsLost$ }, settings)
      .pipe(map((detection) => [detection.rule, detection.container, detection.evidence['count']]))
    expectObservable(told$).toBe('ab', {
      a: ['event-budget-exceeded', container, 7],
      b: ['events-lost', null, 3],
    })
  })
})
