import test from 'ava'
import { monitorIntegrity } from '../../detectors/monitor-integrity/index.ts'
import { resourceLimitBreach } from '../../detectors/resource-limit-breach/index.ts'
import { configuration } from '../../agent/daemon/configuration.ts'
import type { Finding } from '../../agent/model/finding.ts'
import { onlyOne, sampleFindings } from '../support/findings.ts'
import { sampleContainer, sampleDetection } from '../support/samples.ts'

const minuteMs = 60_000

/** A findings core with a clock, and the condition `memory-near-limit` of a container. */
function setUp(options: Parameters<typeof sampleFindings>[0] = {}) {
  const clock = { now: 2_000_000 }
  const findings = sampleFindings({ now: () => clock.now, ...options })
  const detect = (name: string, rest = {}) =>
    findings.from(
      resourceLimitBreach,
      sampleDetection({
        rule: 'memory-near-limit',
        time: clock.now,
        container: sampleContainer({ name }),
        summary: `${name}: memory at 92 %`,
        subject: [],
        evidence: {},
        ...rest,
      }),
    )
  const resolve = (name: string) => detect(name, { state: 'resolved', summary: 'memory at 50 %' })
  return { ...findings, clock, detect, resolve }
}

test('a condition that returns within 15 minutes continues its finding', (t) => {
  const { clock, detect, resolve, firing } = setUp()
  const first = onlyOne(detect('web'))?.finding
  clock.now += minuteMs
  t.like(onlyOne(resolve('web')), {
    change: 'resolved',
    finding: { summary: 'web: memory at 92 %', resolution: 'memory at 50 %' },
  })
  clock.now += 15 * minuteMs - 1
  t.like(onlyOne(detect('web', { summary: 'web: memory at 95 %' })), {
    change: 'reopened',
    finding: {
      id: first?.id,
      fingerprint: first?.fingerprint,
      state: 'firing',
      count: 2,
      summary: 'web: memory at 95 %',
      first_seen: first?.first_seen,
      last_seen: '1970-01-01T00:49:19.999Z',
      resolution: null,
      resolved_at: null,
    },
  })
  t.is(firing().length, 1)
})

test('a condition that returns while it is allowed continues its finding without a notification', (t) => {
  const allowed = { is: false }
  const allowedBy = () => (allowed.is ? { by: 'policy.allow[0]', reason: 'known' } : null)
  const { detect, resolve } = setUp({ allowedBy })
  detect('web')
  resolve('web')
  allowed.is = true
  t.like(onlyOne(detect('web')), { change: 'updated', finding: { state: 'suppressed', count: 2 } })
})

test('a condition that returns later is a new finding of the same condition', (t) => {
  const { clock, detect, resolve } = setUp()
  const first = onlyOne(detect('web'))?.finding
  resolve('web')
  clock.now += 15 * minuteMs
  const second = onlyOne(detect('web'))
  t.like(second, { change: 'new', finding: { count: 1, fingerprint: first?.fingerprint } })
  t.not(second?.finding.id, first?.id)
})

test('a condition that returns after a restart of the daemon continues its finding', (t) => {
  const before = setUp()
  before.detect('web')
  const ended = onlyOne(before.resolve('web'))?.finding as Finding
  const { detect } = setUp({ ended: [ended] })
  t.like(onlyOne(detect('web')), { change: 'reopened', finding: { id: ended.id, count: 2 } })
})

test('a condition that returns with another severity is a new finding', (t) => {
  const severity = { current: 'warning' }
  const config = () =>
    configuration.schema.parse({
      detectors: {
        'resource-limit-breach': { rules: { 'memory-near-limit': { severity: severity.current } } },
      },
    })
  const { detect, resolve } = setUp({ config })
  detect('web')
  resolve('web')
  severity.current = 'critical'
  t.like(onlyOne(detect('web')), { change: 'new', finding: { severity: 'critical', count: 1 } })
})

test('a rename ends the alert of the old name, starts that of the new one, and keeps the beginning', (t) => {
  const { detect, firing, renamed, resolve, clock } = setUp()
  const first = onlyOne(detect('web'))?.finding
  clock.now += minuteMs
  const publications = renamed(sampleContainer({ name: 'shop' }))
  t.like(publications[0], {
    change: 'resolved',
    finding: {
      id: first?.id,
      container: { name: 'web' },
      summary: 'web: memory at 92 %',
      resolution: 'the container was renamed to shop',
    },
  })
  t.like(publications[1], {
    change: 'new',
    finding: {
      container: { name: 'shop' },
      summary: 'shop: memory at 92 %',
      first_seen: first?.first_seen,
      fingerprint: first?.fingerprint,
    },
  })
  t.is(publications.length, 2)
  t.deepEqual(renamed(sampleContainer({ name: 'shop' })), [])
  t.deepEqual(renamed(sampleContainer({ id: 'c'.repeat(64), name: 'other' })), [])
  t.is(firing().length, 1)
  t.like(onlyOne(resolve('shop')), { change: 'resolved', finding: { container: { name: 'shop' } } })
  t.is(firing().length, 0)
})

test('a rename that no event reported is noticed with the next detection', (t) => {
  const { detect, firing } = setUp()
  detect('web')
  t.deepEqual(
    detect('shop', { summary: 'shop: memory at 95 %' }).map(({ change, finding }) => [
      change,
      finding.container?.name,
    ]),
    [
      ['resolved', 'web'],
      ['new', 'shop'],
      ['updated', 'shop'],
    ],
  )
  t.like(firing(), [{ container: { name: 'shop' }, summary: 'shop: memory at 95 %' }])
})

test('two containers of one name have a condition each', (t) => {
  const { detect, firing } = setUp()
  const [a, b] = ['a', 'b'].map((digit) => sampleContainer({ id: digit.repeat(64), name: 'web' }))
  detect('web', { container: a })
  detect('web', { container: b })
  t.is(firing().length, 2)
  detect('web', { container: a, state: 'resolved' })
  t.deepEqual(
    firing().map(({ container }) => container?.id),
    [b?.id],
  )
})

test('every end of a condition has a reason', (t) => {
  const config = { current: configuration.schema.parse({}) }
  const { from, markUnconfirmed, resolveUnconfirmed, reconsider } = sampleFindings({
    config: () => config.current,
  })
  const degraded = sampleDetection({ rule: 'source-degraded', container: null, subject: ['processes'] })
  from(monitorIntegrity, degraded)
  markUnconfirmed(monitorIntegrity.name)
  t.like(onlyOne(resolveUnconfirmed())?.finding, {
    state: 'resolved',
    resolution: 'not found again after a restart of tidewatch or its detector',
  })
  from(monitorIntegrity, degraded)
  config.current = configuration.schema.parse({ detectors: { 'monitor-integrity': { enabled: false } } })
  t.is(onlyOne(reconsider())?.finding.resolution, 'its rule was disabled')
})
