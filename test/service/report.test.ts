import test from 'ava'
import type { SourceStatus } from '../../agent/model/observation.ts'
import { createHeartbeat } from '../../agent/service/heartbeat.ts'
import type { Notice } from '../../agent/service/manager.ts'
import { beatEveryMs, report } from '../../agent/service/report.ts'
import { marbles } from '../support/marbles.ts'

test('the heartbeat interval is a quarter of the watchdog timeout', (t) => {
  t.is(beatEveryMs({ watchdogMs: 20_000 }), 5_000)
  t.is(beatEveryMs({ watchdogMs: 600_000 }), 10_000)
  t.is(beatEveryMs({ watchdogMs: null }), 10_000)
})

test('the watchdog is fed at every beat except while a source is hung', (t) => {
  marbles(t, ({ expectObservable, cold, flush }) => {
    const everyMs = 10
    const heartbeat = createHeartbeat(everyMs)
    const notices: Notice[] = []
    let monotonic = 0
    const clock = () => (monotonic += everyMs)
    const pulse = heartbeat.pulseOf('resources')
    pulse(25)
    cold('45ms a').subscribe(() => pulse(1_000))
    const changes$ = report({
      manager: { notify: (notice) => notices.push(notice), watchdogMs: 40 },
      heartbeat,
      everyMs,
      statusLine: () => 'well',
      now: () => monotonic,
      monotonic: clock,
    })
    const hung: SourceStatus = {
      kind: 'source-status',
      time: 40,
      source: 'resources',
      up: false,
      mode: '',
      best: false,
      reason: 'heartbeat missed; the source appears hung',
    }
    expectObservable(changes$, '61ms !').toBe('40ms h', { h: hung })
    flush()
    const fed = notices.map(({ WATCHDOG }) => WATCHDOG === '1')
    t.deepEqual(fed, [true, true, true, false, true, true])
    t.true(notices.every(({ STATUS }) => STATUS === 'well'))
  })
})
