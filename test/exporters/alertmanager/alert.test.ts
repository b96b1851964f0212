import test from 'ava'
import { alertName, holdMs, isOver, toAlert } from '../../../exporters/alertmanager/alert.ts'
import { sampleFinding } from '../../support/samples.ts'
import { describeRules } from '../../support/describe.ts'
import type { Finding } from '../../../agent/model/finding.ts'

const seenAt = Date.parse(sampleFinding().last_seen)
const minutes = (count: number) => count * 60_000
const iso = (ms: number) => new Date(ms).toISOString()

test('labels contain only what identifies the alert', (t) => {
  const { labels } = toAlert(sampleFinding(), null, seenAt, describeRules)
  t.deepEqual(labels, {
    alertname: 'TidewatchInteractiveShell',
    detector: 'exec-into-container',
    rule: 'interactive-shell',
    severity: 'warning',
    host: 'node-7',
    container: 'web-1',
    image: 'nginx:1.27',
    fingerprint: '9f2c41d07ab3',
    job: 'tidewatch',
  })
  const ofHost = toAlert(sampleFinding({ container: null }), null, seenAt, describeRules).labels
  t.false('container' in ofHost)
  t.false('image' in ofHost)
})

test('annotations contain evidence as bounded text without control characters', (t) => {
  const evidence = {
    argv: ['sh', '-c', 'echo "a b"\n\x1b[31m'],
    tty: true,
    pid: 4_242,
    gone: undefined,
    'odd key!': 'x',
    long: 'y'.repeat(9_999),
    nested: { a: [1] },
  }
  const { annotations } = toAlert(sampleFinding({ evidence }), null, seenAt, describeRules)
  t.is(annotations['evidence_argv'], `sh -c 'echo "a b"\\n\\x1b[31m'`)
  t.is(annotations['evidence_tty'], 'true')
  t.is(annotations['evidence_odd_key_'], 'x')
  t.is(annotations['evidence_nested'], '{"a":[1]}')
  t.true((annotations['evidence_long'] ?? '').length <= 1_000)
  t.false('evidence_gone' in annotations)
  t.is(annotations['summary'], 'alice opened an interactive shell in web-1 as root (`sh`)')
  t.is(annotations['technique'], 'T1609')
  t.is(annotations['runbook_url'], 'https://wiki.test/runbooks/TidewatchInteractiveShell')
  for (const [name, value] of Object.entries(annotations)) {
    t.regex(name, /^[a-zA-Z_][a-zA-Z0-9_]*$/)
    t.notRegex(value, /\p{Cc}/u)
  }
})

test('an alert ends after the hold time of an event, after the TTL of a condition, or when it was resolved', (t) => {
  const event = sampleFinding()
  const condition = sampleFinding({ kind: 'condition' })
  const resolved = sampleFinding({ kind: 'condition', state: 'resolved' })
  const late = seenAt + minutes(120)
  const table: [string, [Finding, number | null, number], number][] = [
    ['an event delivered immediately', [event, null, seenAt], seenAt + holdMs],
    ['an event whose receiver was down for two hours', [event, null, late], late + holdMs],
    ['an event delivered late and sent again', [event, late, late + minutes(3)], late + holdMs],
    ['a condition', [condition, null, late], late + minutes(5)],
    ['a resolved condition', [resolved, seenAt, late], seenAt],
  ]
  for (const [what, [finding, deliveredAt, now], endsAt] of table) {
    t.is(toAlert(finding, deliveredAt, now, describeRules).endsAt, iso(endsAt), what)
    t.is(toAlert(finding, deliveredAt, now, describeRules).startsAt, finding.first_seen, what)
  }
})

test('when a receiver needs no further reminder', (t) => {
  const condition = sampleFinding({ kind: 'condition' })
  const resolved = sampleFinding({ kind: 'condition', state: 'resolved' })
  const table: [string, Parameters<typeof isOver>, boolean][] = [
    ['an undelivered event', [sampleFinding(), null, seenAt + minutes(999)], false],
    ['an event within the hold time', [sampleFinding(), seenAt, seenAt + minutes(14)], false],
    ['an event after the hold time', [sampleFinding(), seenAt, seenAt + minutes(15)], true],
    ['an event delivered late', [sampleFinding(), seenAt + minutes(10), seenAt + minutes(15)], false],
    ['a firing condition', [condition, seenAt, seenAt + minutes(999)], false],
    ['a resolution within the hold time', [resolved, seenAt, seenAt + minutes(14)], false],
    ['a resolution after the hold time', [resolved, seenAt, seenAt + minutes(15)], true],
  ]
  for (const [what, args, expected] of table) t.is(isOver(...args), expected, what)
})

test('alert names follow the convention of Prometheus', (t) => {
  t.is(alertName('interactive-shell'), 'TidewatchInteractiveShell')
  t.is(alertName('oom-kill'), 'TidewatchOomKill')
})
