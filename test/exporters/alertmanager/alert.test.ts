import test from 'ava'
import { alertName, holdMs, isOver, toAlert } from '../../../exporters/alertmanager/alert.ts'
import { sampleFinding } from '../../support/samples.ts'

const seenAt = Date.parse(sampleFinding().last_seen)
const minutes = (count: number) => count * 60_000
const iso = (ms: number) => new Date(ms).toISOString()

test('labels are what identifies the alert, and nothing else', (t) => {
  const { labels } = toAlert(sampleFinding(), null, seenAt)
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
  const ofHost = toAlert(sampleFinding({ container: null }), null, seenAt).labels
  t.false('container' in ofHost)
  t.false('image' in ofHost)
})

test('evidence goes into annotations as bounded text without control characters', (t) => {
  const evidence = {
    argv: ['sh', '-c', 'echo "a b"\n\x1b[31m'],
    tty: true,
    pid: 4_242,
    gone: undefined,
    'odd key!': 'x',
    long: 'y'.repeat(9_999),
    nested: { a: [1] },
  }
  const { annotations } = toAlert(sampleFinding({ evidence }), null, seenAt)
  t.is(annotations['evidence_argv'], `sh -c 'echo "a b"\\n\\x1b[31m'`)
  t.is(annotations['evidence_tty'], 'true')
  t.is(annotations['evidence_odd_key_'], 'x')
  t.is(annotations['evidence_nested'], '{"a":[1]}')
  t.true((annotations['evidence_long'] ?? '').length <= 1_000)
  t.false('evidence_gone' in annotations)
  t.is(annotations['summary'], 'root opened an interactive sh in web-1')
  t.regex(annotations['runbook_url'] ?? '', /^https:.*\/docs\/runbooks\/TidewatchInteractiveShell\.md$/)
  const elsewhere = toAlert(sampleFinding(), null, seenAt, 'https://wiki.test/tidewatch/').annotations
  t.is(elsewhere['runbook_url'], 'https://wiki.test/tidewatch/TidewatchInteractiveShell.md')
  for (const [name, value] of Object.entries(annotations)) {
    t.regex(name, /^[a-zA-Z_][a-zA-Z0-9_]*$/)
    t.notRegex(value, /\p{Cc}/u)
  }
})

test('when an alert ends: an event is held, a condition rolls on, a resolution is over', (t) => {
  const event = sampleFinding()
  const condition = sampleFinding({ kind: 'condition' })
  const resolved = sampleFinding({ kind: 'condition', state: 'resolved' })
  const late = seenAt + minutes(120)
  const table: [string, Parameters<typeof toAlert>, number][] = [
    ['an event at once', [event, null, seenAt], seenAt + holdMs],
    ['an event whose receiver was down for two hours', [event, null, late], late + holdMs],
    ['an event that was delivered late, sent again', [event, late, late + minutes(3)], late + holdMs],
    ['a condition', [condition, null, late], late + minutes(5)],
    ['a resolution', [resolved, seenAt, late], seenAt],
  ]
  for (const [what, [finding, deliveredAt, now], endsAt] of table) {
    t.is(toAlert(finding, deliveredAt, now).endsAt, iso(endsAt), what)
    t.is(toAlert(finding, deliveredAt, now).startsAt, finding.first_seen, what)
  }
})

test('when a receiver needs no further reminder', (t) => {
  const condition = sampleFinding({ kind: 'condition' })
  const resolved = sampleFinding({ kind: 'condition', state: 'resolved' })
  const table: [string, Parameters<typeof isOver>, boolean][] = [
    ['an event it never got', [sampleFinding(), null, seenAt + minutes(999)], false],
    ['an event within the hold', [sampleFinding(), seenAt, seenAt + minutes(14)], false],
    ['an event after the hold', [sampleFinding(), seenAt, seenAt + minutes(15)], true],
    ['an event that it got late', [sampleFinding(), seenAt + minutes(10), seenAt + minutes(15)], false],
    ['a condition that fires', [condition, seenAt, seenAt + minutes(999)], false],
    ['a resolution within the hold', [resolved, seenAt, seenAt + minutes(14)], false],
    ['a resolution after the hold', [resolved, seenAt, seenAt + minutes(15)], true],
  ]
  for (const [what, args, expected] of table) t.is(isOver(...args), expected, what)
})

test('alerts are named as Prometheus names them', (t) => {
  t.is(alertName('interactive-shell'), 'TidewatchInteractiveShell')
  t.is(alertName('oom-kill'), 'TidewatchOomKill')
})
