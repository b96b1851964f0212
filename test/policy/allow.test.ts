import { configuration } from '../../agent/daemon/configuration.ts'
import test from 'ava'
import { type AllowEntry, createAllow } from '../../agent/policy/allow.ts'
import { createPolicy } from '../../agent/policy/policy.ts'
import { sampleFinding } from '../support/samples.ts'

function allowOf(entries: AllowEntry[], { trustLabels = false, now = () => 0 } = {}) {
  const failures: string[] = []
  const onFailure = (entry: string, message: string) => failures.push(`${entry}: ${message}`)
  return { failures, allow: createAllow({ entries, trustLabels, now, onFailure }) }
}

test('the first matching entry allows, and is named with its reason', (t) => {
  const { allow } = allowOf([
    { reason: 'other', when: 'rule == "oom-kill"' },
    { reason: 'first', when: 'container.name == "web-1"' },
    { reason: 'second', when: 'rule == "interactive-shell"' },
  ])
  t.deepEqual(allow.by(sampleFinding(), {}), { by: 'policy.allow[1]', reason: 'first' })
  t.deepEqual(allow.by(sampleFinding({ rule: 'oom-kill' }), {}), { by: 'policy.allow[0]', reason: 'other' })
  t.is(allow.by(sampleFinding({ rule: 'x', container: null }), {}), null)
})

test('an entry for another rule or detector is not evaluated', (t) => {
  const { allow, failures } = allowOf([
    { reason: 'a', when: 'rule == "other" && evidence.pid.startsWith("x")' },
    { reason: 'b', when: 'detector == "other" && evidence.pid.startsWith("x")' },
  ])
  t.is(allow.by(sampleFinding(), {}), null)
  t.deepEqual(failures, [])
})

test('an entry that fails to evaluate allows nothing and is reported once; the others still apply', (t) => {
  const { allow, failures } = allowOf([
    { reason: 'a', when: 'evidence.pid.startsWith("4")' },
    { reason: 'b', when: 'true' },
  ])
  for (let i = 0; i < 3; i += 1) t.is(allow.by(sampleFinding(), {})?.by, 'policy.allow[1]')
  t.is(failures.length, 1)
  t.regex(failures[0] ?? '', /^policy\.allow\[0\]: .*startsWith/)
})

test('container labels allow a rule only if labels are trusted', (t) => {
  const labels = { 'tidewatch.allow/interactive-shell': 'we debug here\n' }
  t.is(allowOf([]).allow.by(sampleFinding(), labels), null)
  const { allow } = allowOf([], { trustLabels: true })
  t.deepEqual(allow.by(sampleFinding(), labels), {
    by: 'label tidewatch.allow/interactive-shell',
    reason: 'we debug here\\n',
  })
  t.is(allow.by(sampleFinding({ rule: 'exec-as-root' }), labels), null)
})

test('an expired entry no longer applies, and is reported once', (t) => {
  let time = Date.parse('2026-12-31T23:59:59Z')
  const notices: string[] = []
  const { policy: config } = configuration.schema.parse({
    policy: { allow: [{ reason: 'migration', when: 'true', until: '2026-12-31' }] },
  })
  const policy = createPolicy({ config, now: () => time, onNotice: (line) => notices.push(line) })
  t.is(policy.allowedBy(sampleFinding(), {})?.reason, 'migration')
  t.false(policy.hasExpired())
  time += 1_001
  t.is(policy.allowedBy(sampleFinding(), {}), null)
  t.true(policy.hasExpired())
  t.false(policy.hasExpired())
  t.deepEqual(notices, ['policy.allow[0] has expired and no longer allows anything: migration'])
  t.deepEqual(
    policy.entries().map(({ expired }) => expired),
    [true],
  )
})

test('until is a date or a time', (t) => {
  const parse = (until: string) => {
    const result = configuration.schema.safeParse({
      policy: { allow: [{ reason: 'a', when: 'true', until }] },
    })
    return result.success ? result.data.policy.allow[0]?.until : 'refused'
  }
  const table: [string, number | string][] = [
    ['2026-12-31', Date.parse('2026-12-31T23:59:59.999Z')],
    ['2026-12-31T18:00:00Z', Date.parse('2026-12-31T18:00:00Z')],
    ['2026-12-31T18:00+02:00', Date.parse('2026-12-31T16:00:00Z')],
    ['2026-02-30', 'refused'],
    ['tomorrow', 'refused'],
    ['2026-12-31 18:00', 'refused'],
  ]
  for (const [text, expected] of table) t.is(parse(text), expected, text)
})

test('an entry that uses the old name of evidence works, and the new one is logged', (t) => {
  const notices: string[] = []
  const { policy: config } = configuration.schema.parse({
    policy: { allow: [{ reason: 'tests', when: 'rule == "oom-kill" && evidence.told_by == "counter"' }] },
  })
  const policy = createPolicy({ config, now: () => 0, onNotice: (line) => notices.push(line) })
  const kill = sampleFinding({ rule: 'oom-kill', evidence: { seen_by: 'counter' } })
  t.is(policy.allowedBy(kill, {})?.by, 'policy.allow[0]')
  t.deepEqual(notices, [
    'policy.allow[0] uses evidence.told_by, which is deprecated: use evidence.seen_by instead',
  ])
})
