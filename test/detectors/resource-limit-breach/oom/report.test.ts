import test from 'ava'
import { died, survived } from '../../../../detectors/resource-limit-breach/oom/report.ts'
import { container, details, fixtureId } from '../../../sources/resources/samples.ts'

const mib = 2 ** 20
const memory = { workingSetBytes: 500 * mib, limitBytes: 512 * mib, swapBytes: 0, oomKills: 0 }
const kills = {
  time: 1_000,
  container: container(),
  count: 1,
  reportedBy: 'counter' as const,
  eventKey: 'oom:x',
  memory,
  victims: [],
}

test('a kill that the container survived is reported with the limit and the memory used before', (t) => {
  t.deepEqual(survived(kills).detection, {
    rule: 'oom-kill',
    time: 1_000,
    container: container(),
    summary: 'web-1: out of memory, 1 process killed (limit 512 MiB)',
    subject: [`memory limit ${512 * mib}`],
    eventKey: 'oom:x',
    evidence: {
      kills: 1,
      seen_by: 'counter',
      limit_bytes: 512 * mib,
      last_working_set_bytes: 500 * mib,
    },
  })
  const three = survived({ ...kills, count: 3 }).detection
  t.is(three.summary, 'web-1: out of memory, 3 processes killed (limit 512 MiB)')
})

test('a death is reported with the configured limit where no sample was taken', (t) => {
  const limits = { memoryBytes: 64 * mib, cpus: null, pids: null }
  const limited = { ...kills, memory: null, container: container({ details: details({ limits }) }) }
  t.like(died(limited, { time: 1_100, exitCode: 137 }).detection, {
    rule: 'container-oom-killed',
    time: 1_000,
    eventKey: `oom:${fixtureId}:1100`,
    summary: 'web-1 was OOM-killed (limit 64 MiB)',
    evidence: { exit_code: 137, limit_bytes: 64 * mib },
  })
})
