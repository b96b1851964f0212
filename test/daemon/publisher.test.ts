import { configuration } from '../../agent/daemon/configuration.ts'
import test from 'ava'
import { createLogger, transports } from 'winston'
import { PassThrough } from 'node:stream'
import { detectorConfigFor } from '../../agent/config/schema.ts'
import { createFindings } from '../../agent/findings/findings.ts'
import { currentConfig } from '../../agent/config/current.ts'
import { currentRedactor } from '../../agent/policy/current-redactor.ts'
import { createPolicy } from '../../agent/policy/policy.ts'
import { createThrottle } from '../../agent/policy/throttle.ts'
import { createPublisher } from '../../agent/daemon/publisher.ts'
import { openDatabase } from '../../agent/store/database.ts'
import { prepareTables } from '../../agent/store/tables.ts'
import { execIntoContainer } from '../../detectors/exec-into-container/index.ts'
import { monitorIntegrity } from '../../detectors/monitor-integrity/index.ts'
import { sampleDetection } from '../support/samples.ts'

function setUp(value: object = {}) {
  const parsed = configuration.parseValue(value)
  if (!('config' in parsed)) throw new Error(JSON.stringify(parsed.issues))
  const { config } = parsed
  const state = { time: 2_000_004 }
  const now = () => state.time
  const store = prepareTables(openDatabase(':memory:'))
  const policy = createPolicy({ config: config.policy, now, onNotice: () => {} })
  let id = 0
  const findings = createFindings({
    host: 'node-7',
    now,
    newId: () => String((id += 1)).padStart(6, '0'),
    configOf: (name, container) => detectorConfigFor(config, name, container),
    allowedBy: policy.allowedBy,
    redact: currentRedactor(currentConfig(config)),
    firing: [],
    findByEventKey: store.findByEventKey,
  })
  const counted: string[] = []
  const publisher = createPublisher({
    findings,
    throttle: createThrottle({ settings: () => config.policy.throttle, now }),
    store,
    metrics: {
      published: ({ change, finding }) => counted.push(`${change} ${finding.state}`),
      suppressed: (_finding, reason) => counted.push(reason),
      detectorFailed: (name: string) => void counted.push(`${name} failed`),
    },
    log: createLogger({ transports: [new transports.Stream({ stream: new PassThrough().resume() })] }),
    receivers: () => [{ name: 'am', queuedBy: 'fingerprint', minSeverity: 'info' }],
    now,
  })
  const exec = (eventKey: string, rest = {}) =>
    publisher.publish({ detector: execIntoContainer, detection: sampleDetection({ eventKey, ...rest }) })
  const stored = () => store.due('am', Infinity, 1_000).map(({ finding }) => finding)
  return { state, store, publisher, counted, exec, stored }
}

test('repeats increase the count of one finding, and later ones create a new finding', (t) => {
  const { state, store, publisher, counted, exec } = setUp()
  for (let n = 0; n < 100; n += 1) exec(`e${n}`, { time: 2_000_000 + n, summary: `ran ${n % 3}` })
  publisher.flushRepeats()
  const [first, ...others] = store.latest(10)
  t.deepEqual(others, [])
  t.like(first, {
    count: 100,
    first_seen: '1970-01-01T00:33:20.000Z',
    last_seen: '1970-01-01T00:33:20.099Z',
    evidence: { argv: ['true'], repeated: ['ran 1', 'ran 2'] },
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
      summary: '15 more findings suppressed in the last minute: 15 exec-command in web-1',
    },
  ])
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
