import test from 'ava'
import { NEVER } from 'rxjs'
import type { SourceStatus } from '../../agent/model/observation.ts'
import { runtimeFiles } from '../../agent/sources/runtime-files/source.ts'
import { createHeartbeat, type Heartbeat } from '../../agent/service/heartbeat.ts'

const everyMs = 1_000
const up: SourceStatus = {
  kind: 'source-status',
  time: 1,
  source: 'resources',
  up: true,
  mode: 'cgroup-v2',
  best: true,
  reason: '',
}

/** Beats at the interval until a time of the monotonic clock; returns the changes. */
function beatUntil(heartbeat: Heartbeat, from: number, until: number): SourceStatus[] {
  const changes: SourceStatus[] = []
  for (let monotonic = from; monotonic <= until; monotonic += everyMs)
    changes.push(...heartbeat.beat({ monotonic, epoch: 500_000 + monotonic }))
  return changes
}

test('a source that sends its pulse in time is never hung', (t) => {
  const heartbeat = createHeartbeat(everyMs)
  const pulse = heartbeat.pulseOf('resources')
  for (let monotonic = 0; monotonic < 100_000; monotonic += everyMs) {
    if (monotonic % 5_000 === 0) pulse(6_000)
    t.deepEqual(heartbeat.beat({ monotonic, epoch: 0 }), [])
  }
  t.deepEqual(heartbeat.hung(), [])
})

test('a source that stops sending its pulse is reported down once, and recovers with its previous status', (t) => {
  const heartbeat = createHeartbeat(everyMs)
  const pulse = heartbeat.pulseOf('resources')
  heartbeat.record(up)
  pulse(5_000)
  t.deepEqual(beatUntil(heartbeat, 0, 5_000), [])
  const changes = beatUntil(heartbeat, 6_000, 20_000)
  t.is(changes.length, 1)
  t.like(changes[0], { source: 'resources', up: false, best: false, time: 506_000 })
  t.regex(changes[0]?.reason ?? '', /appears hung/)
  t.deepEqual(heartbeat.hung(), ['resources'])

  pulse(5_000)
  t.deepEqual(heartbeat.beat({ monotonic: 21_000, epoch: 521_000 }), [{ ...up, time: 521_000 }])
  t.deepEqual(heartbeat.hung(), [])
})

test('a source that has never sent a pulse is not monitored', (t) => {
  const heartbeat = createHeartbeat(everyMs)
  heartbeat.pulseOf('docker-events')
  t.deepEqual(beatUntil(heartbeat, 0, 1_000_000), [])
})

test('a source that is down and waits for its restart is not hung', (t) => {
  const heartbeat = createHeartbeat(everyMs)
  heartbeat.pulseOf('resources')(5_000)
  heartbeat.record({ ...up, up: false })
  t.deepEqual(beatUntil(heartbeat, 0, 60_000), [])
  t.deepEqual(heartbeat.hung(), [])
})

test('a hung source is found next to a healthy one', (t) => {
  const heartbeat = createHeartbeat(everyMs)
  heartbeat.pulseOf('resources')(5_000)
  heartbeat.pulseOf('processes')(500_000)
  beatUntil(heartbeat, 0, 10_000)
  t.deepEqual(heartbeat.hung(), ['resources'])
})

test('after the whole process was stopped, its sources get time to send a pulse', (t) => {
  const heartbeat = createHeartbeat(everyMs)
  heartbeat.pulseOf('resources')(5_000)
  beatUntil(heartbeat, 0, 2_000)
  t.deepEqual(heartbeat.beat({ monotonic: 3_600_000, epoch: 0 }), [])
  t.deepEqual(heartbeat.hung(), [])
  beatUntil(heartbeat, 3_601_000, 3_610_000)
  t.deepEqual(heartbeat.hung(), ['resources'])
})

test('the runtime-files source is hung if its search never ends', (t) => {
  const heartbeat = createHeartbeat(everyMs)
  const source = runtimeFiles({
    find: () => new Promise(() => undefined),
    refind$: NEVER,
    intervalMs: 60_000,
    identify: () => ({ writer: null, container: null }),
    now: () => 0,
    open: () => ({
      mode: 'inotify',
      reason: '',
      events$: NEVER,
      mark: () => '',
      markDirectory: () => undefined,
      close: () => undefined,
    }),
    pulse: heartbeat.pulseOf('runtime-files'),
  })
  const subscription = source.observe().subscribe()
  t.teardown(() => subscription.unsubscribe())
  return new Promise<void>((resolve) => {
    setTimeout(() => {
      beatUntil(heartbeat, 0, 110_000)
      t.deepEqual(heartbeat.hung(), [])
      beatUntil(heartbeat, 111_000, 130_000)
      t.deepEqual(heartbeat.hung(), ['runtime-files'])
      resolve()
    }, 50)
  })
})
