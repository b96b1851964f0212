import test from 'ava'
import {
  alertName,
  type AlertOptions,
  holdMs,
  isOver,
  toAlert,
} from '../../../exporters/alertmanager/alert.ts'
import { sampleFinding } from '../../support/samples.ts'
import { describeRules } from '../../support/describe.ts'
import type { Finding } from '../../../agent/model/finding.ts'

const seenAt = Date.parse(sampleFinding().last_seen)
const minutes = (count: number) => count * 60_000
const iso = (ms: number) => new Date(ms).toISOString()
const alertOf = (finding: Finding, options: Partial<AlertOptions> = {}) =>
  toAlert(finding, { deliveredAt: null, now: seenAt, correctionMs: 0, describe: describeRules, ...options })

test('labels contain only what identifies the alert', (t) => {
  const { labels } = alertOf(sampleFinding())
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
  const ofHost = alertOf(sampleFinding({ container: null })).labels
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
  const { annotations } = alertOf(sampleFinding({ evidence }))
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
  const dated = sampleFinding({ ...resolved, resolved_at: iso(seenAt + minutes(7)) })
  const early = sampleFinding({ ...resolved, resolved_at: iso(seenAt - minutes(7)) })
  const allowed = sampleFinding({ state: 'suppressed', suppressed: { by: 'allow[0]', reason: 'r' } })
  const late = seenAt + minutes(120)
  const table: [string, [Finding, number | null, number], number][] = [
    ['an event delivered immediately', [event, null, seenAt], seenAt + holdMs],
    ['an event whose receiver was down for two hours', [event, null, late], late + holdMs],
    ['an event delivered late and sent again', [event, late, late + minutes(3)], late + holdMs],
    ['a condition', [condition, null, late], late + minutes(5)],
    ['a resolved condition of an early version', [resolved, seenAt, late], seenAt],
    ['a resolved condition', [dated, seenAt, late], seenAt + minutes(7)],
    ['a condition that was just resolved', [dated, seenAt, seenAt + minutes(7)], seenAt + minutes(7) - 6_000],
    ['a condition resolved in the future', [dated, seenAt, seenAt + minutes(1)], seenAt + minutes(1) - 6_000],
    ['a condition that was resolved before it started', [early, seenAt, late], seenAt],
    ['an event that is now allowed', [allowed, seenAt, late], seenAt],
  ]
  for (const [what, [finding, deliveredAt, now], endsAt] of table) {
    const alert = alertOf(finding, { deliveredAt, now })
    t.is(alert.endsAt, iso(endsAt), what)
    t.is(alert.startsAt, finding.first_seen, what)
    for (const correctionMs of [minutes(6), minutes(-6)]) {
      const corrected = alertOf(finding, { deliveredAt, now, correctionMs })
      t.is(corrected.endsAt, iso(endsAt + correctionMs), what)
      t.is(corrected.startsAt, iso(Date.parse(finding.first_seen) + correctionMs), what)
    }
  }
})

test('when a receiver needs no further reminder', (t) => {
  const condition = sampleFinding({ kind: 'condition' })
  const resolved = sampleFinding({ kind: 'condition', state: 'resolved' })
  const dated = sampleFinding({ ...resolved, resolved_at: iso(seenAt + minutes(7)) })
  const table: [string, Parameters<typeof isOver>, boolean][] = [
    ['an undelivered event', [sampleFinding(), null, seenAt + minutes(999)], false],
    ['an event within the hold time', [sampleFinding(), seenAt, seenAt + minutes(14)], false],
    ['an event after the hold time', [sampleFinding(), seenAt, seenAt + minutes(15)], true],
    ['an event delivered late', [sampleFinding(), seenAt + minutes(10), seenAt + minutes(15)], false],
    ['a firing condition', [condition, seenAt, seenAt + minutes(999)], false],
    ['a resolution within the hold time', [resolved, seenAt, seenAt + minutes(14)], false],
    ['a resolution after the hold time', [resolved, seenAt, seenAt + minutes(15)], true],
    ['a resolution within its own hold time', [dated, seenAt, seenAt + minutes(21)], false],
    ['a resolution after its own hold time', [dated, seenAt, seenAt + minutes(22)], true],
  ]
  for (const [what, args, expected] of table) t.is(isOver(...args), expected, what)
})

test('a resolved alert keeps what was found and its labels, and adds why it ended', (t) => {
  const firing = sampleFinding({ kind: 'condition', severity: 'critical', summary: 'web-1 is full' })
  const resolved: Finding = {
    ...firing,
    state: 'resolved',
    resolved_at: '2026-11-23T18:00:00.000Z',
    resolution: 'web-1: container\nremoved',
  }
  t.deepEqual(alertOf(resolved).labels, alertOf(firing).labels)
  t.false('resolution' in alertOf(firing).annotations)
  const { annotations } = alertOf(resolved)
  t.is(annotations['summary'], 'web-1 is full')
  t.is(annotations['resolution'], 'web-1: container\\nremoved')
  t.is(
    annotations['description'],
    'critical: web-1 is full. Seen at 2026-11-23T17:42:10.123Z, container web-1 (nginx:1.27) on node-7. Resolved at 2026-11-23T18:00:00.000Z: web-1: container\\nremoved.',
  )
  const allowed = {
    ...firing,
    state: 'suppressed',
    suppressed: { by: 'allow[0]', reason: 'backup' },
  } as const
  t.is(alertOf(allowed).annotations['resolution'], 'allowed: backup')
})

test('alert names follow the convention of Prometheus', (t) => {
  t.is(alertName('interactive-shell'), 'TidewatchInteractiveShell')
  t.is(alertName('oom-kill'), 'TidewatchOomKill')
})
