import { configuration } from '../../agent/daemon/configuration.ts'
import test from 'ava'
import { createLogger, transports } from 'winston'
import { PassThrough } from 'node:stream'
import { createPolicy } from '../../agent/policy/policy.ts'
import { createRepeats } from '../../agent/policy/repeats.ts'
import { createThrottle } from '../../agent/policy/throttle.ts'
import { createPublisher } from '../../agent/daemon/publisher.ts'
import { openDatabase } from '../../agent/store/database.ts'
import { prepareTables } from '../../agent/store/tables.ts'
import { execIntoContainer } from '../../detectors/exec-into-container/index.ts'
import { monitorIntegrity } from '../../detectors/monitor-integrity/index.ts'
import { sampleFindings } from '../support/findings.ts'
import { sampleDetection } from '../support/samples.ts'

function setUp(value: object = {}) {
  const parsed = configuration.parseValue(value)
  if (!('config' in parsed)) throw new Error(JSON.stringify(parsed.issues))
  const { config } = parsed
  const state = { time: 2_000_004 }
  const now = () => state.time
  const database = openDatabase(':memory:')
  const store = prepareTables(database)
  const policy = createPolicy({ config: config.policy, now, onNotice: () => {} })
  let lastId = 0
  const findings = sampleFindings({
    config: () => config,
    now,
    newId: () => String((lastId += 1)).padStart(6, '0'),
    allowedBy: policy.allowedBy,
    findByEventKey: store.findByEventKey,
  })
  const counted: string[] = []
  const publisher = createPublisher({
    findings,
    repeats: createRepeats({ foldMs: () => config.policy.throttle.fold, now }),
    throttle: createThrottle({ settings: () => config.policy.throttle, now }),
    store,
    metrics: {
      published: ({ change, finding }) => counted.push(`${change} ${finding.state}`),
      suppressed: (_finding, reason) => counted.push(reason),
      detectorFailed: (name: string) => void counted.push(`${name} failed`),
    },
    log: createLogger({ transports: [new transports.Stream({ stream: new PassThrough().resume() })] }),
    receivers: () => [
      { name: 'am', queuedBy: 'alert', minSeverity: 'info', sendResolved: true },
      { name: 'hook', queuedBy: 'finding', minSeverity: 'info', sendResolved: true },
    ],
    now,
  })
  const exec = (eventKey: string, rest = {}) =>
    publisher.publish({ detector: execIntoContainer, detection: sampleDetection({ eventKey, ...rest }) })
  const stored = () => store.due('am', Infinity, 1_000).map(({ finding }) => finding)
  /** What the webhook gets, once. */
  function sent(): string[] {
    const due = store.due('hook', Infinity, 1_000).map(({ finding }) => finding)
    store.dequeue(
      'hook',
      due.map(({ id }) => id),
    )
    return due.map(({ id, count }) => `${Number(id)}×${count}`)
  }
  return { state, database, store, publisher, counted, exec, stored, sent }
}

test('repeats increase the count of one finding, and later ones create a new finding', (t) => {
  const { state, store, publisher, counted, exec } = setUp()
  for (let n = 0; n < 100; n += 1) exec(`e${n}`, { time: 2_000_000 + n })
  publisher.flushRepeats()
  const [first, ...others] = store.latest(10)
  t.deepEqual(others, [])
  t.like(first, {
    count: 100,
    first_seen: '1970-01-01T00:33:20.000Z',
    last_seen: '1970-01-01T00:33:20.099Z',
  })
  t.is(counted.filter((what) => what === 'folded').length, 99)
  state.time += 300_000
  exec('later')
  t.deepEqual(
    store.latest(10).map(({ count }) => count),
    [1, 100],
  )
})

test('folding loses no update, and an update does not lose the count', (t) => {
  const { store, publisher, exec } = setUp()
  exec('e1')
  exec('e2')
  exec('e1', { isUpdate: true, evidence: { exit_code: 3 }, summary: 'ran true (exit code 3)' })
  publisher.flushRepeats()
  exec('e3')
  publisher.flushRepeats()
  exec('e1', { isUpdate: true, evidence: { seconds: 1 }, summary: 'ran true (exit code 3)' })
  t.like(store.latest(2), [
    { count: 3, evidence: { exit_code: 3, seconds: 1 }, summary: 'ran true (exit code 3)' },
  ])
})

test('two people’s equal commands are two findings, also if one of them becomes known late', (t) => {
  const { store, exec, publisher, sent } = setUp()
  exec('e1', { actor: 'alice' })
  exec('e2', { actor: 'mallory' })
  exec('e3')
  exec('e4')
  exec('e3', { isUpdate: true, actor: 'alice', evidence: { caller: 'alice' } })
  exec('e4', { isUpdate: true, actor: 'mallory', evidence: { caller: 'mallory' } })
  exec('e5')
  exec('e5', { isUpdate: true, actor: 'bob', evidence: { caller: 'bob' } })
  publisher.flushRepeats()
  t.deepEqual(
    store.latest(10).map(({ id, count, evidence }) => [Number(id), count, evidence['caller']]),
    [
      [7, 1, 'bob'],
      [3, 1, 'alice'],
      [2, 2, undefined],
      [1, 1, undefined],
    ],
  )
  t.deepEqual(sent(), ['1×1', '2×2', '3×1', '7×1'])
})

test('receivers are notified of repeats at intervals, with the count', (t) => {
  const { state, exec, publisher, sent } = setUp()
  for (let second = 0; second < 130; second += 1) {
    state.time = 2_000_004 + second * 1_000
    exec(`e${second}`)
    publisher.flushRepeats()
    if (second === 0) t.deepEqual(sent(), ['1×1'])
    if (second === 59) t.deepEqual(sent(), [])
    if (second === 60) t.deepEqual(sent(), ['1×61'])
    if (second === 120) t.deepEqual(sent(), ['1×121'])
  }
  t.deepEqual(sent(), [])
  publisher.finish()
  t.deepEqual(sent(), ['1×130'])
})

test('receivers are not notified of repeats of what is allowed', (t) => {
  const { state, exec, publisher, sent, store } = setUp({
    policy: { allow: [{ reason: 'known', when: 'true' }] },
  })
  exec('e1')
  exec('e2')
  state.time += 60_000
  publisher.flushRepeats()
  t.is(store.findByEventKey('exec-command', 'e1')?.count, 2)
  t.deepEqual(sent(), [])
})

test('an event that is read again is neither reported nor counted', (t) => {
  const { store, counted, exec, publisher } = setUp()
  exec('e1')
  exec('e1')
  publisher.flushRepeats()
  t.is(store.latest(1)[0]?.count, 1)
  t.deepEqual(counted, ['new firing'])
})

test('an allowed finding is stored and counted, but not sent', (t) => {
  const { store, counted, exec, stored } = setUp({ policy: { allow: [{ reason: 'known', when: 'true' }] } })
  exec('e1')
  t.deepEqual(counted, ['new suppressed'])
  t.is(store.findByEventKey('exec-command', 'e1')?.suppressed?.reason, 'known')
  t.deepEqual(stored(), [])
  t.deepEqual(store.latest(10), [])
})

test('a sent finding that an update makes allowed is sent again as suppressed', (t) => {
  const { exec, stored } = setUp({
    policy: { allow: [{ reason: 'known', when: 'evidence.exit_code == 0' }] },
  })
  exec('e1')
  t.like(stored(), [{ state: 'firing' }])
  exec('e1', { isUpdate: true, evidence: { exit_code: 0 } })
  t.like(stored(), [{ state: 'suppressed' }])
})

test('findings beyond the budget are counted and reported in one finding per minute', (t) => {
  const { store, publisher, counted, exec } = setUp({ policy: { throttle: { per_container: 5 } } })
  for (let n = 0; n < 20; n += 1) exec(`e${n}`, { subject: [String(n)] })
  publisher.reportThrottled()
  publisher.reportThrottled()
  t.is(store.latest(100).length, 6)
  t.is(counted.filter((what) => what === 'throttled').length, 15)
  t.like(store.latest(1), [
    {
      rule: 'findings-throttled',
      summary:
        '15 more findings suppressed in the last minute: 15 exec-command in web-1 (5, 6, 7 and 12 more)',
    },
  ])
})

test('throttled acts of the last minute are reported when the daemon stops', (t) => {
  const { store, publisher, exec } = setUp({ policy: { throttle: { per_container: 1 } } })
  for (const name of ['a', 'b', 'c']) exec(name, { subject: [name] })
  publisher.finish()
  t.like(store.latest(1), [{ rule: 'findings-throttled', evidence: { count: 2 } }])
})

test('conditions and their ends are not throttled', (t) => {
  const { publisher, counted } = setUp({ policy: { throttle: { per_container: 1, per_rule: 1 } } })
  for (let n = 0; n < 20; n += 1) {
    for (const state of ['firing', 'resolved'] as const) {
      const detection = sampleDetection({
        rule: 'source-degraded',
        container: null,
        subject: [String(n)],
        state,
      })
      publisher.publish({ detector: monitorIntegrity, detection })
    }
  }
  t.is(counted.filter((what) => what === 'new firing').length, 20)
  t.is(counted.filter((what) => what === 'resolved resolved').length, 20)
})

test('what fires is stored again in a store that replaced an unusable one', (t) => {
  const { database, store, publisher } = setUp()
  const detection = sampleDetection({ rule: 'source-degraded', container: null, subject: ['processes'] })
  publisher.publish({ detector: monitorIntegrity, detection })
  const before = store.firing()
  database.exec('DELETE FROM findings')
  t.deepEqual(store.firing(), [])
  publisher.storeAgain()
  t.is(before.length, 1)
  t.deepEqual(store.firing(), before)
})

test('a burst of 100,000 findings is one finding and a few writes', (t) => {
  const { store, publisher, exec } = setUp()
  for (let n = 0; n < 100_000; n += 1) {
    exec(`e${n}`)
    if (n % 10_000 === 0) publisher.flushRepeats()
  }
  publisher.flushRepeats()
  t.is(store.latest(10).length, 1)
  t.is(store.latest(1)[0]?.count, 100_000)
})
