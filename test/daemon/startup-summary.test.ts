import test from 'ava'
import { startupSummary } from '../../agent/daemon/startup-summary.ts'
import { sampleSourceStatus } from '../support/samples.ts'

const summary = {
  version: '1.2.3',
  host: 'node-7',
  directory: '/state',
  storeMode: 'file',
  url: 'http://127.0.0.1:15736',
  containersRunning: 1,
  receivers: [],
  sources: [],
}

test('the start-up summary has one line with fields per subject', (t) => {
  const [first, store, receivers, pages, ...others] = startupSummary(summary)
  t.deepEqual(first, {
    level: 'info',
    message: 'tidewatch 1.2.3 is monitoring node-7 (1 running container)',
    ...{ version: '1.2.3', host: 'node-7', url: 'http://127.0.0.1:15736', containers_running: 1 },
  })
  t.like(store, {
    message: 'findings are stored in /state; read them with: tidewatch findings',
    directory: '/state',
  })
  t.is(receivers?.message, 'no alert receivers configured; add one under `alertmanagers:`')
  t.like(pages, { url: 'http://127.0.0.1:15736' })
  t.deepEqual(others, [])
})

test('the start-up summary has one line per source, a warning if it is degraded or down', (t) => {
  const status = { source: 'processes', mode: 'ebpf' } as const
  const states = [
    [sampleSourceStatus(status), 'info', 'up', 'source processes is up (mode ebpf)'],
    [
      sampleSourceStatus({ ...status, mode: 'procfs', best: false, reason: 'no BTF' }),
      ...(['warn', 'degraded', 'source processes is degraded (mode procfs): no BTF'] as const),
    ],
    [
      sampleSourceStatus({ ...status, mode: '', up: false, best: false, reason: 'denied' }),
      ...(['warn', 'down', 'source processes is down: denied'] as const),
    ],
    [undefined, 'info', 'starting', 'source processes is starting'],
  ] as const
  for (const [source, level, state, message] of states) {
    const sources = [{ name: 'processes', status: source }] as const
    t.like(startupSummary({ ...summary, sources })[1], { level, state, message, source: 'processes' })
  }
})
