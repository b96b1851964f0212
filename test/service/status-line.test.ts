import test from 'ava'
import type { SourceStatus } from '../../agent/model/observation.ts'
import { statusLine } from '../../agent/service/status-line.ts'
import { sampleSourceStatus as status } from '../support/samples.ts'

const cases: [SourceStatus | undefined, string][] = [
  [status({}), 'all 1 sources at their best'],
  [undefined, 'processes starting'],
  [status({ up: false, mode: '' }), 'processes down'],
  [status({ mode: 'procfs', best: false }), 'processes in mode procfs only'],
]

for (const [of, expected] of cases) {
  test(`the line says: ${expected}`, (t) => {
    const sources = [{ name: 'processes' as const, status: of }]
    t.is(
      statusLine({ containersRunning: 1, sources, findings: 2, firing: 0 }),
      `1 running container; ${expected}; 2 findings since start, 0 firing`,
    )
  })
}
