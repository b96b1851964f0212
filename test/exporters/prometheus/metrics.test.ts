import { configuration } from '../../../agent/daemon/configuration.ts'
import { spawnSync } from 'node:child_process'
import test from 'ava'
import { detectorConfig } from '../../../agent/config/schema.ts'
import type { Container } from '../../../agent/model/container.ts'
import type { Finding } from '../../../agent/model/finding.ts'
import type { Observation, ResourceSample } from '../../../agent/model/observation.ts'
import { detectors } from '../../../detectors/index.ts'
import { createMetrics } from '../../../exporters/prometheus/index.ts'
import { judgeVersions } from '../../../detectors/runtime-path-write/vulnerable.ts'
import { sampleContainer, sampleExec, sampleFinding } from '../../support/samples.ts'

function setUp({ maxSeries = 10_000 } = {}) {
  const config = configuration.defaults()
  const state = {
    time: 1_000_000,
    containers: [sampleContainer()] as Container[],
    firing: [] as Finding[],
    findingsLost: 0,
  }
  const metrics = createMetrics({
    judgeVersions,
    version: '1.2.3',
    sources: ['docker-events', 'resources'],
    statuses: () => [
      {
        kind: 'source-status',
        time: 0,
        source: 'docker-events',
        up: true,
        mode: 'stream',
        best: true,
        reason: '',
      },
      { kind: 'source-status', time: 0, source: 'resources', up: false, mode: '', best: false, reason: 'x' },
    ],
    detectors,
    configOf: (name) => detectorConfig(config, name),
    firing: () => state.firing,
    containers: {
      get: (id) => state.containers.find((container) => container.id === id),
      all: () => state.containers,
      running: () => state.containers.filter((container) => container.state === 'running'),
    },
    receivers: ['alertmanager/a'],
    notificationQueueLength: () => 7,
    storesMovedAside: () => 2,
    storeFindingsLost: () => state.findingsLost,
    logLinesLost: () => 4,
    storeMode: () => 'memory',
    maxSeries,
    allowEntries: () => [],
    profiles: () => [
      { image: 'nginx:1.27', state: 'learned' },
      { image: 'nginx:1.28', state: 'learning' },
    ],
    now: () => state.time,
  })
  const text = async () => (await metrics.expose('')).body
  const has = async (line: string) => (await text()).split('\n').includes(line)
  const series = async (name: string) =>
    (await text()).split('\n').filter((line) => line.startsWith(`${name}{`))
  return { metrics, state, text, has, series }
}

const sample = (container: Container, rest: Partial<ResourceSample> = {}): ResourceSample => ({
  kind: 'resources',
  time: 1_000_000,
  container,
  memory: { workingSetBytes: 100, limitBytes: 200, swapBytes: 50, oomKills: 1 },
  cpu: { usageSeconds: 1.5, quotaCores: null, periods: 10, throttledPeriods: 2, throttledSeconds: 0.5 },
  pids: { current: 3, limit: null, refusedForks: 4 },
  pressure: {
    cpu: { someSeconds: 2, fullSeconds: null },
    memory: { someSeconds: 1.5, fullSeconds: 0.5 },
    io: null,
  },
  blockIo: { readBytes: 4_096, writtenBytes: 512 },
  ...rest,
})
const action = (container: Container, name: 'died' | 'removed'): Observation => ({
  kind: 'container',
  time: 1_000_000,
  action: name,
  container,
  exitCode: 0,
  previousName: null,
})
const published = (finding: Partial<Finding> = {}) =>
  ({ change: 'new', finding: sampleFinding(finding), eventKey: null }) as const

test('promtool’s linter accepts the rendered metrics, whatever the order of formats', async (t) => {
  const { metrics, state } = setUp()
  metrics.observed(sample(state.containers[0] as Container))
  metrics.observed(sampleExec())
  metrics.published(published())
  const first = await metrics.expose('')
  const open = await metrics.expose('application/openmetrics-text;version=1.0.0,text/plain;q=0.5')
  const again = await metrics.expose('text/plain')
  t.regex(first.contentType, /^text\/plain; version=0\.0\.4/)
  t.regex(open.contentType, /^application\/openmetrics-text; version=1\.0\.0/)
  t.regex(open.body, /\n# EOF\n$/)
  const names = (body: string) =>
    body
      .split('\n')
      .filter((line) => line.startsWith('tidewatch'))
      .map((line) => line.split(/[{ ]/)[0])
  t.deepEqual(names(again.body), names(first.body))
  t.deepEqual(names(open.body), names(first.body))
  for (const body of [first.body, again.body]) {
    const { stdout, stderr, status } = spawnSync('promtool', ['check', 'metrics'], {
      input: body,
      encoding: 'utf8',
    })
    t.is(`${stdout}${stderr}`, '')
    t.is(status, 0)
  }
})

test('the detection latency is that of events since the daemon started', async (t) => {
  const { metrics, state, has } = setUp()
  const isoOf = (time: number) => new Date(time).toISOString()
  const count = 'tidewatch_detection_latency_seconds_count{detector="exec-into-container"}'
  const detected_at = isoOf(state.time + 500)
  metrics.published(published({ time: isoOf(state.time - 1), detected_at }))
  metrics.published(published({ time: isoOf(state.time), detected_at }))
  t.true(await has(`${count} 1`))
  t.true(await has(count.replace('count', 'sum') + ' 0.5'))
})

test('every enabled rule starts at 0, so that its first finding is an increase', async (t) => {
  const { has, metrics } = setUp()
  const line =
    'tidewatch_findings_total{detector="exec-into-container",rule="interactive-shell",severity="warning"}'
  t.true(await has(`${line} 0`))
  metrics.published(published())
  t.true(await has(`${line} 1`))
  t.true(await has('tidewatch_execs_total{kind="healthcheck"} 0'))
  t.true(await has('tidewatch_notifications_total{receiver="alertmanager/a",outcome="delivered"} 0'))
})

test('sources, store and queue expose their state', async (t) => {
  const { has, series } = setUp()
  t.true(await has('tidewatch_source_up{source="docker-events"} 1'))
  t.true(await has('tidewatch_source_up{source="resources"} 0'))
  t.deepEqual(await series('tidewatch_source_mode'), [
    'tidewatch_source_mode{source="docker-events",mode="stream"} 1',
  ])
  t.true(await has('tidewatch_store_up 0'))
  t.true(await has('tidewatch_profile_state{image="nginx:1.28",state="learning"} 1'))
  t.true(await has('tidewatch_notification_queue_length{receiver="alertmanager/a"} 7'))
})

test('losses are counted by source and reason, and gaps also separately', async (t) => {
  const { has, metrics } = setUp()
  metrics.observed({ kind: 'events-lost', time: 0, source: 'docker-events', reason: 'gap', count: 1 })
  metrics.observed({ kind: 'events-lost', time: 0, source: 'docker-events', reason: 'invalid', count: 5 })
  t.true(await has('tidewatch_source_events_lost_total{source="docker-events",reason="invalid"} 5'))
  t.true(await has('tidewatch_docker_event_gaps_total 1'))
})

test('losses of the store and the log are read when the metrics are scraped', async (t) => {
  const { has, state } = setUp()
  t.true(await has('tidewatch_store_findings_lost_total 0'))
  t.true(await has('tidewatch_store_moved_aside_total 2'))
  t.true(await has('tidewatch_log_lines_lost_total 4'))
  state.findingsLost = 1_000
  t.true(await has('# TYPE tidewatch_store_findings_lost_total counter'))
  t.true(await has('tidewatch_store_findings_lost_total 1000'))
})

test('the clock skew of a configured receiver is exposed for an hour after its last measurement', async (t) => {
  const { metrics, state, series } = setUp()
  const skews = async () => await series('tidewatch_receiver_clock_skew_seconds')
  t.deepEqual(await skews(), [])
  metrics.clockSkew('alertmanager/a', 360_250)
  metrics.clockSkew('webhook/gone', 360_250)
  t.deepEqual(await skews(), ['tidewatch_receiver_clock_skew_seconds{receiver="alertmanager/a"} 360.25'])
  state.time += 3_599_999
  t.is((await skews()).length, 1)
  state.time += 1
  t.deepEqual(await skews(), [])
})

test('a repeat is no new finding, but moves the time of the last one', async (t) => {
  const { metrics, has } = setUp()
  const finding = sampleFinding()
  metrics.published({ change: 'new', finding, eventKey: null })
  const again = sampleFinding({ count: 2, last_seen: '2026-11-23T17:52:10.000Z' })
  for (const change of ['repeated', 'reopened'] as const)
    metrics.published({ change, finding: again, eventKey: null })
  const labels = `detector="exec-into-container",rule="interactive-shell",severity="warning"`
  t.true(await has(`tidewatch_findings_total{${labels}} 1`))
  const own = `container="web-1",image="nginx:1.27",${labels}`
  t.true(await has(`tidewatch_container_findings_total{${own}} 1`))
  t.true(await has(`tidewatch_finding_last_timestamp_seconds{${own}} ${Date.parse(again.last_seen) / 1_000}`))
})

test('the engine cannot create labels of the event counter', async (t) => {
  const { series, metrics } = setUp()
  for (const name of ['start', 'made-up-1', 'made-up-2']) {
    metrics.observed({
      kind: 'docker-event',
      time: 0,
      timeNano: 0n,
      type: 'container',
      action: name,
      detail: '',
      actorId: '',
      attributes: {},
    })
  }
  t.deepEqual(await series('tidewatch_source_events_total'), [
    'tidewatch_source_events_total{source="docker-events",type="start"} 1',
    'tidewatch_source_events_total{source="docker-events",type="other"} 2',
  ])
})

test('usage and limits of a container are exposed, and a missing limit has no series', async (t) => {
  const { has, series, metrics, state } = setUp()
  metrics.observed(sample(state.containers[0] as Container))
  const labels = 'container="web-1",image="nginx:1.27"'
  t.true(await has(`tidewatch_container_memory_working_set_bytes{${labels}} 100`))
  t.true(await has(`tidewatch_container_cpu_usage_seconds_total{${labels}} 1.5`))
  t.true(await has(`tidewatch_container_memory_limit_bytes{${labels}} 200`))
  t.deepEqual(await series('tidewatch_container_pids_limit'), [])
  t.true(await has(`tidewatch_container_memory_swap_bytes{${labels}} 50`))
  t.true(await has(`tidewatch_container_forks_refused_total{${labels}} 4`))
  t.true(await has(`tidewatch_container_disk_read_bytes_total{${labels}} 4096`))
  t.true(await has(`tidewatch_container_disk_written_bytes_total{${labels}} 512`))
  t.deepEqual(
    await series('tidewatch_container_limit_missing'),
    ['memory', 'cpu', 'pids'].map(
      (resource) => `tidewatch_container_limit_missing{${labels},resource="${resource}"} 1`,
    ),
  )
})

test('pressure is exposed by resource and kind, as far as the kernel reports it', async (t) => {
  const { series, metrics, state } = setUp()
  metrics.observed(sample(state.containers[0] as Container))
  const labels = 'container="web-1",image="nginx:1.27"'
  t.deepEqual(await series('tidewatch_container_pressure_stall_seconds_total'), [
    `tidewatch_container_pressure_stall_seconds_total{${labels},resource="cpu",kind="some"} 2`,
    `tidewatch_container_pressure_stall_seconds_total{${labels},resource="memory",kind="some"} 1.5`,
    `tidewatch_container_pressure_stall_seconds_total{${labels},resource="memory",kind="full"} 0.5`,
  ])
})

test('resource series are removed five minutes after the container, finding series an hour after the finding', async (t) => {
  const { series, metrics, state } = setUp()
  const container = state.containers[0] as Container
  metrics.observed(sample(container))
  metrics.published(published())
  metrics.observed(action(container, 'died'))
  state.containers = []
  state.time += 299_000
  t.is((await series('tidewatch_container_pids')).length, 1)
  state.time += 2_000
  t.is((await series('tidewatch_container_pids')).length, 0)
  t.is((await series('tidewatch_container_findings_total')).length, 1)
  state.time += 3_400_000
  t.is((await series('tidewatch_container_findings_total')).length, 0)
  t.is((await series('tidewatch_finding_last_timestamp_seconds')).length, 0)
})

test('a rename renames a container’s series, and a container that takes over a name continues its series', async (t) => {
  const { series, metrics, state } = setUp()
  const container = state.containers[0] as Container
  metrics.observed(sample(container))
  metrics.published(published())
  state.containers = [{ ...container, name: 'web-old' }]
  t.regex((await series('tidewatch_container_pids')).join(), /container="web-old"/)
  t.regex((await series('tidewatch_container_findings_total')).join(), /container="web-old"/)

  const successor = sampleContainer({ id: 'd'.repeat(64), name: 'web-old' })
  metrics.observed(action({ ...container, name: 'web-old' }, 'removed'))
  metrics.observed(sample(successor, { pids: { current: 9, limit: null, refusedForks: 0 } }))
  state.containers = [successor]
  t.deepEqual(await series('tidewatch_container_pids'), [
    'tidewatch_container_pids{container="web-old",image="nginx:1.27"} 9',
  ])
})

test('firing conditions are counted by container and rule', async (t) => {
  const { series, state } = setUp()
  state.firing = [sampleFinding({ kind: 'condition' }), sampleFinding({ kind: 'condition', id: 'other' })]
  t.deepEqual(await series('tidewatch_findings_active'), [
    'tidewatch_findings_active{container="web-1",image="nginx:1.27",detector="exec-into-container",rule="interactive-shell",severity="warning"} 2',
  ])
})

test('label values with quotes, newlines and backslashes stay on one line', async (t) => {
  const { text, metrics, state } = setUp()
  state.containers = [sampleContainer({ name: 'a"b\\c\nd' })]
  metrics.observed(sample(state.containers[0] as Container))
  t.true(
    (await text()).includes('tidewatch_container_pids{container="a\\"b\\\\c\\nd",image="nginx:1.27"} 3\n'),
  )
})

test('an exemplar identifies the counted finding, in OpenMetrics only', async (t) => {
  const { metrics, text } = setUp()
  const finding = sampleFinding({ id: '01JDCEXAMPLE', detector: 'exec-into-container', rule: 'exec-command' })
  metrics.published({ change: 'new', finding, eventKey: null })
  const { body } = await metrics.expose('application/openmetrics-text')
  t.regex(
    body,
    /^tidewatch_findings_total\{[^}]*rule="exec-command"[^}]*\} 1 # \{finding_id="01JDCEXAMPLE"\} 1 \d/m,
  )
  t.notRegex(await text(), /# \{/)
})

test('containers over the budget are counted and summed in one series, whose totals never fall', async (t) => {
  const { metrics, state, series, has } = setUp({ maxSeries: 100 })
  const named = (n: number) => sampleContainer({ id: String(n).padStart(64, '0'), name: `web-${n}` })
  const sampleAt = (n: number, usageSeconds: number) => {
    const observation = sample(named(n))
    metrics.observed({ ...observation, cpu: { ...observation.cpu, usageSeconds } })
  }
  state.containers = [0, 1, 2, 3, 4, 5, 6].map(named)
  for (const n of [0, 1, 2, 3, 4, 5, 6]) sampleAt(n, 10)
  const usage = async () => {
    const lines = await series('tidewatch_container_cpu_usage_seconds_total')
    return Object.fromEntries(
      lines.map((line) => [/container="([^"]*)"/.exec(line)?.[1], Number(line.split(' ')[1])]),
    )
  }
  t.deepEqual(await usage(), { 'web-0': 10, 'web-1': 10, 'web-2': 10, 'web-3': 10, _other: 0 })
  t.true(await has('tidewatch_containers_without_series 3'))
  t.true(await has('tidewatch_container_limit_missing{container="_other",image="",resource="memory"} 3'))
  t.true(await has('tidewatch_container_memory_working_set_bytes{container="_other",image=""} 300'))
  for (const n of [4, 5, 6]) sampleAt(n, 12)
  t.is((await usage())['_other'], 6)
  metrics.observed({
    kind: 'container',
    time: 0,
    action: 'removed',
    container: named(6),
    exitCode: null,
    previousName: null,
  })
  metrics.observed({
    kind: 'container',
    time: 0,
    action: 'removed',
    container: named(0),
    exitCode: null,
    previousName: null,
  })
  state.containers = [1, 2, 3, 4, 5].map(named)
  state.time += 301_000
  t.is((await usage())['_other'], 6)
  t.is((await usage())['web-4'], 12)
})

test('endless containers share one series per rule, and the first ones keep their own', async (t) => {
  const { metrics, series } = setUp({ maxSeries: 100 })
  for (let n = 0; n < 500; n += 1) {
    const id = String(n).padStart(64, '0')
    const container = {
      ...(sampleFinding().container as NonNullable<Finding['container']>),
      id,
      name: `x-${n}`,
    }
    metrics.published({ change: 'new', finding: sampleFinding({ id: String(n), container }), eventKey: null })
  }
  const lines = await series('tidewatch_container_findings_total')
  t.is(lines.length, 13)
  t.true(lines.some((line) => line.includes('container="_other"') && line.endsWith(' 488')))
})
