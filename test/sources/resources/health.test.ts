import test from 'ava'
import { healthOf } from '../../../agent/sources/resources/health.ts'
import type { SampleResult } from '../../../agent/sources/resources/sample.ts'
import { container, fixtureUsage as usage } from './samples.ts'

const web = container({ name: 'web-1' })
const files: SampleResult = { via: 'files', container: web, usage, firstProcess: null, missing: [], slow: '' }
const lacking: SampleResult = { ...files, missing: ['memory'] }
const slow: SampleResult = { ...files, slow: 'no watches left' }
const stats: SampleResult = { via: 'stats', container: web, usage, why: 'not here', local: false }
const refused: SampleResult = { via: 'stats', container: web, usage, why: 'EACCES', local: true }
const nothing: SampleResult = { via: 'nothing', container: web, why: 'EACCES' }
const end: SampleResult = { via: 'end', container: web }

const table: [title: string, results: SampleResult[], mode: string, best: boolean][] = [
  ['nothing was sampled yet', [], 'cgroup-v2', true],
  ['all containers are read from files', [files, files, end], 'cgroup-v2', true],
  ['the engine is on another host', [stats, stats], 'stats-api', true],
  ['files on this host are not readable', [refused], 'stats-api', false],
  ['one container is not in a cgroup of the host and others are', [files, stats], 'cgroup-v2', false],
  ['one container cannot be sampled at all', [files, nothing], 'cgroup-v2', false],
  ['the kernel lacks a controller', [lacking], 'cgroup-v2', false],
  ['files cannot be kept open or watched', [files, slow], 'cgroup-v2', false],
]

for (const [title, results, mode, best] of table) {
  test(`when ${title}, the mode is ${mode}, which is ${best ? 'the best' : 'not the best'}`, (t) => {
    const health = healthOf(results, 'cgroup-v2')
    t.is(health.mode, mode)
    t.is(health.reason === '', best)
  })
}

test('the reason names the container and the cause', (t) => {
  t.is(healthOf([nothing], 'cgroup-v1').reason, 'web-1 cannot be sampled: EACCES')
  t.regex(healthOf([refused], 'cgroup-v1').reason, /^web-1 is sampled through the Docker API, .*: EACCES$/)
})

test('a host without cgroups has the API only', (t) => {
  t.deepEqual(healthOf([], null), { mode: 'stats-api', reason: '' })
})
