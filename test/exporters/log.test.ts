import test from 'ava'
import type { Logger } from 'winston'
import type { Publication } from '../../agent/findings/publication.ts'
import type { Finding } from '../../agent/model/finding.ts'
import { logFinding } from '../../exporters/log.ts'
import { sampleFinding } from '../support/samples.ts'

type Line = [level: string, message: string]

function logged(change: Publication['change'], finding: Partial<Finding>): Line[] {
  const lines: Line[] = []
  const log = { log: (entry: { level: string; message: string }) => lines.push([entry.level, entry.message]) }
  const full = sampleFinding({ summary: 'web-1 is full', severity: 'critical', ...finding })
  logFinding(log as unknown as Logger, { change, finding: full, eventKey: null })
  return lines
}

const resolved = { state: 'resolved', resolution: 'web-1 was\nremoved' } as const
const allowed = { state: 'suppressed', suppressed: { by: 'allow[0]', reason: 'backup' } } as const
const table: [title: string, change: Publication['change'], finding: Partial<Finding>, line: Line | null][] =
  [
    ['a new finding', 'new', {}, ['error', 'CRITICAL interactive-shell: web-1 is full']],
    ['a warning', 'new', { severity: 'warning' }, ['warn', 'WARNING interactive-shell: web-1 is full']],
    ['an update', 'updated', {}, null],
    [
      'a repeat',
      'repeated',
      { severity: 'warning', count: 12 },
      ['warn', 'WARNING interactive-shell: web-1 is full (12 times since 17:42:10 UTC)'],
    ],
    [
      'a repeat after midnight',
      'repeated',
      { severity: 'info', count: 2, last_seen: '2026-11-24T00:01:00.000Z' },
      ['info', 'INFO interactive-shell: web-1 is full (2 times since 2026-11-23 17:42:10 UTC)'],
    ],
    [
      'a condition that fires again',
      'reopened',
      { count: 3 },
      ['error', 'CRITICAL interactive-shell: web-1 is full (again, 3 times since 17:42:10 UTC)'],
    ],
    [
      'a resolution',
      'resolved',
      { ...resolved, count: 3 },
      ['info', 'resolved interactive-shell: web-1 is full (web-1 was\\nremoved)'],
    ],
    [
      'a resolution of an early version',
      'resolved',
      { state: 'resolved', resolution: null },
      ['info', 'resolved interactive-shell: web-1 is full'],
    ],
    ['an allowed finding', 'new', allowed, ['debug', 'allowed interactive-shell: web-1 is full (backup)']],
    [
      'a finding that became allowed',
      'suppressed',
      allowed,
      ['debug', 'allowed interactive-shell: web-1 is full (backup)'],
    ],
  ]

for (const [title, change, finding, line] of table) {
  const how = line === null ? 'not logged' : `logged at level ${line[0]}`
  test(`${title} is ${how}`, (t) => {
    t.deepEqual(logged(change, finding), line === null ? [] : [line])
  })
}
