import test from 'ava'
import type { SourceStatus } from '../../agent/model/observation.ts'
import { statusLine } from '../../agent/service/status-line.ts'
import { sampleSourceStatus as status } from '../support/samples.ts'

const cases: [SourceStatus | undefined, string][] = [
  [status({}), 'all sources up (1)'],
  [undefined, 'processes starting'],
  [status({ up: false, mode: '' }), 'processes down'],
  [status({ mode: 'procfs', best: false }), 'processes degraded (mode procfs)'],
]

for (const [source, expected] of cases) {
  test(`the status line contains: ${expected}`, (t) => {
    const sources = [{ name: 'processes' as const, status: source }]
    t.is(
      statusLine({ containersRunning: 1, sources, findings: 2, firing: 0 }),
      `1 running container; ${expected}; 2 findings since start, 0 firing`,
    )
  })
}
