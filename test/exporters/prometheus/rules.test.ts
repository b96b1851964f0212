import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { stringify } from 'yaml'
import { allRules } from '../../../agent/cli/rules.ts'
import { detectors } from '../../../detectors/index.ts'
import { alertName } from '../../../exporters/alertmanager/alert.ts'
import { healthAlerts } from '../../../exporters/prometheus/rules/health-alerts.ts'
import { ruleFiles } from '../../../exporters/prometheus/rules/index.ts'
import { limitUse } from '../../../exporters/prometheus/rules/recording.ts'
import { renderRuleFile } from '../../../exporters/prometheus/rules/rule-file.ts'
import { run } from '../../support/processes.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'
import { healthCases } from './health-cases.ts'
import { type AlertCase, at, inputSeries, promtoolTest, type Samples } from './rule-cases.ts'

const directory = join(import.meta.dirname, '../../../exporters/prometheus/rules')
const files = ruleFiles(detectors)
const paths = files.map(({ name }) => join(directory, name))
const runbook = (name: string) => `http://node-7:15736/runbooks/${name}`

test('the rule files are up to date: npm run generate:rules', (t) => {
  for (const file of files) t.is(readFileSync(join(directory, file.name), 'utf8'), renderRuleFile(file))
  const shipped = readdirSync(directory).filter((name) => name.endsWith('.yml'))
  t.deepEqual(shipped.toSorted(), files.map(({ name }) => name).toSorted())
})

test('Prometheus accepts the rule files', async (t) => {
  t.regex(await run('promtool', 'check', 'rules', '--lint-fatal', ...paths), /SUCCESS/)
})

test('every rule of every detector has one alert, and no health alert has the same name', (t) => {
  const names = files
    .flatMap(({ groups }) => groups.flatMap(({ rules }) => rules))
    .flatMap((rule) => ('alert' in rule ? [rule.alert] : []))
  t.is(new Set(names).size, names.length)
  t.deepEqual(
    names.toSorted(),
    [...allRules().map(({ rule }) => alertName(rule)), ...Object.keys(healthAlerts)].toSorted(),
  )
})

test('every alert on findings fires exactly when there is one, also for a new series', async (t) => {
  const ofRules = allRules().map(findingCases)
  // Combines the nth case of every rule.
  const units = Array.from({ length: Math.max(...ofRules.map(({ length }) => length)) }, (_, index) =>
    ofRules.flatMap((cases) => cases[index] ?? []),
  )
  t.true(units.flat().length >= 4 * allRules().length)
  t.regex(await promtool(units.map(promtoolTest)), /SUCCESS/)
})

test('every health alert fires when it should, and not when it should not', async (t) => {
  const cases = Object.entries(healthCases).flatMap(([name, { fires, silent }]) => [
    ...fires.map((its) => ({ ...its, name, expected: healthExpectation(name, its.labels) })),
    ...silent.map((its) => ({ ...its, name, expected: null })),
  ])
  t.deepEqual(Object.keys(healthCases).toSorted(), Object.keys(healthAlerts).toSorted())
  for (const [name, { fires, silent }] of Object.entries(healthCases))
    t.true(fires.length > 0 && silent.length > 0, name)
  t.regex(await promtool(cases.map((its) => promtoolTest([its]))), /SUCCESS/)
})

test('a wrong expectation is detected', async (t) => {
  const [first] = allRules().flatMap(findingCases)
  await t.throwsAsync(promtool([promtoolTest([{ ...(first as AlertCase), expected: null }])]), {
    message: /FAILED/,
  })
})

test('the used share of a limit is recorded for memory, processes and CPU', async (t) => {
  const labels = 'job="tidewatch",instance="node-7:15736",container="web-1",image="nginx"'
  const series: Samples = {
    [`tidewatch_container_memory_working_set_bytes{${labels}}`]: '50x10',
    [`tidewatch_container_memory_limit_bytes{${labels}}`]: '200x10',
    [`tidewatch_container_pids{${labels}}`]: '3x10',
    [`tidewatch_container_cpu_throttled_periods_total{${labels}}`]: '0+15x10',
    [`tidewatch_container_cpu_periods_total{${labels}}`]: '0+60x10',
  }
  // No series for processes, because the container has no process limit.
  const samples = ['memory', 'cpu-throttled'].map((resource) => ({
    labels: `${limitUse}{${labels},resource="${resource}"}`,
    value: 0.25,
  }))
  const unit = {
    interval: '1m',
    input_series: inputSeries(series),
    promql_expr_test: [{ expr: limitUse, eval_time: '10m', exp_samples: samples }],
  }
  t.regex(await promtool([unit]), /SUCCESS/)
})

/** A single event or condition fires; one of severity info, a past one, and one from a pushing daemon do not. */
function findingCases({
  detector,
  rule,
  kind,
  technique,
  summary,
  remedy,
}: ReturnType<typeof allRules>[number]): AlertCase[] {
  const name = alertName(rule)
  const labels = { container: 'web-1', image: 'nginx:1.27', detector, rule, severity: 'critical' }
  const target = { job: 'tidewatch', instance: 'node-7:15736' }
  const metric = kind === 'event' ? 'tidewatch_finding_last_timestamp_seconds' : 'tidewatch_findings_active'
  const series = (severity = 'critical') => `${metric}{${at({ ...labels, ...target, severity })}}`
  // The series starts in minute 9, with an event of second 540 or with one condition.
  const newSeries = `_x9 ${kind === 'event' ? 540 : 1}x60`
  const expected = {
    labels: { ...labels, ...target, host: 'node-7' },
    annotations: {
      summary: `container web-1 on node-7:15736: ${summary}`,
      description: `${summary} What to do: ${remedy} For details run on the host: tidewatch findings --detector ${detector}`,
      ...(technique !== undefined && { technique }),
      runbook_url: runbook(name),
    },
  }
  const pushed = `tidewatch_notification_queue_length{${at({ ...target, receiver: 'alertmanager/a:9093' })}}`
  const past = kind === 'event' ? '540x60' : '_x9 0x60'
  const ended: AlertCase[] =
    kind === 'event'
      ? [
          // A restart removes the series. The alert keeps firing for the hold time, and no longer.
          { name, time: '15m', series: { [series()]: '_x9 540x2 _x60' }, expected },
          { name, time: '25m', series: { [series()]: newSeries }, expected: null },
        ]
      : []
  return [
    { name, time: '10m', series: { [series()]: newSeries }, expected },
    { name, time: '10m', series: { [series('info')]: newSeries }, expected: null },
    { name, time: '10m', series: { [series()]: newSeries, [pushed]: '0x60' }, expected: null },
    { name, time: '60m', series: { [series()]: past }, expected: null },
    ...ended,
  ]
}

function healthExpectation(name: string, labels: Readonly<Record<string, string>>): AlertCase['expected'] {
  const { severity, summary, description, hasDaemon } = healthAlerts[name] as (typeof healthAlerts)[string]
  const filled = (text: string) =>
    text
      .replace(/{{ \$labels\.(\w+) }}/g, (_, label: string) => labels[label] ?? '')
      .replace('{{ $value }}', '1')
  return {
    labels: { ...labels, severity },
    annotations: {
      summary: filled(summary),
      description: filled(description),
      ...(hasDaemon && { runbook_url: `http://${labels['instance']}/runbooks/${name}` }),
    },
  }
}

async function promtool(tests: readonly object[]): Promise<string> {
  const folder = await temporaryDirectory()
  try {
    const file = join(folder, 'test.yml')
    writeFileSync(file, stringify({ rule_files: paths, evaluation_interval: '1m', tests }))
    return await run('promtool', 'test', 'rules', file)
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`${stdout}${stderr}`.slice(0, 5_000), { cause: error })
  } finally {
    rmSync(folder, { recursive: true })
  }
}
