import test from 'ava'
import { map } from 'rxjs'
import type { EventsLost } from '../../../agent/model/observation.ts'
import { monitorIntegrity } from '../../../detectors/monitor-integrity/index.ts'
import { marbles } from '../../support/marbles.ts'
import { observing } from '../../support/observed.ts'
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

test('a source that is down for long enough is a condition until it recovers', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const sourceStatuses$ = hot('w-d-d-----w', { w: status(), d: down })
    const states$ = monitorIntegrity
      .detect(observing({ 'source-status': sourceStatuses$ }), settings)
      .pipe(map(({ state }) => state))
    expectObservable(states$).toBe('r-----f---r', { r: 'resolved', f: 'firing' })
  })
})

test('a restart of the engine is not reported', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const sourceStatuses$ = hot('w-d-w', { w: status(), d: down })
    const states$ = monitorIntegrity
      .detect(observing({ 'source-status': sourceStatuses$ }), settings)
      .pipe(map(({ state }) => state))
    expectObservable(states$).toBe('r---r', { r: 'resolved' })
  })
})

test('each source in a fallback mode is reported with its reason', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const sourceStatuses$ = hot('ab', {
      a: degraded,
      b: status({ source: 'resources', mode: 'stats-api', best: false, reason: 'no BTF' }),
    })
    const summaries$ = monitorIntegrity
      .detect(observing({ 'source-status': sourceStatuses$ }), settings)
      .pipe(map(({ summary }) => summary))
    expectObservable(summaries$).toBe('----ab', {
      a: 'source processes is degraded (mode procfs): no BTF',
      b: 'source resources is degraded (mode stats-api): no BTF',
    })
  })
})

test('the first loss is reported immediately, the following ones as one sum at the end of the window', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const eventsLost$ = hot('a-bb----b---------c', {
      a: lost(1),
      b: lost(10),
      c: lost(5, { reason: 'invalid' }),
    })
    const counts$ = monitorIntegrity
      .detect(observing({ 'events-lost': eventsLost$ }), settings)
      .pipe(map(({ evidence }) => evidence['count']))
    expectObservable(counts$, '-------------------!').toBe('a-----b-c---------d', {
      a: 1,
      b: 20,
      c: 10,
      d: 5,
    })
  })
})

test('a loss by one container’s budget is a finding about that container', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const container = sampleContainer()
    const eventsLost$ = hot('ab', {
      a: lost(7, { source: 'processes', reason: 'over-budget', container }),
      b: lost(3, { source: 'processes', reason: 'over-budget' }),
    })
    const losses$ = monitorIntegrity
      .detect(observing({ 'events-lost': eventsLost$ }), settings)
      .pipe(map((detection) => [detection.rule, detection.container, detection.evidence['count']]))
    expectObservable(losses$).toBe('ab', {
      a: ['event-budget-exceeded', container, 7],
      b: ['events-lost', null, 3],
    })
  })
})
