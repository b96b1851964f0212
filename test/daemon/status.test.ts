import test from 'ava'
import type { Publication } from '../../agent/findings/publication.ts'
import { daemonStatus } from '../../agent/daemon/status.ts'
import { sampleFinding } from '../support/samples.ts'

test('the status line counts new findings, but no updates and no allowed findings', (t) => {
  const status = daemonStatus({
    host: 'a-host',
    containers: { running: () => [] },
    health: { all: () => [] },
    findings: { firing: () => [] },
    store: { mode: () => 'file', pending: () => 0, latest: () => [] },
    receiverNames: () => [],
    now: () => 0,
  })
  const finding = sampleFinding()
  const changes: Publication['change'][] = ['new', 'updated', 'suppressed', 'released', 'resolved']
  for (const change of changes) status.countPublished({ change, finding, eventKey: null })
  status.countPublished({ change: 'new', finding: { ...finding, state: 'suppressed' }, eventKey: null })
  t.regex(status.line(), /; 1 findings? since start, 0 firing$/)
})
