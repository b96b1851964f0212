import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as units from '@grafana/grafana-foundation-sdk/units'
import test from 'ava'
import { dashboards, renderDashboard } from '../../../exporters/grafana/index.ts'
import { recordingGroups } from '../../../exporters/prometheus/rules/recording.ts'
import { dashboardsAsJson, expressionsOf, filledIn, type PanelJson } from '../../support/dashboards.ts'
import { describeMetrics } from '../../../docs/describe-metrics.ts'
import { selectorsOf } from '../../support/promql.ts'

// The rules of Grafana's dashboard-linter (its docs/rules), and further expectations of operators.

const directory = join(import.meta.dirname, '../../../exporters/grafana/dashboards')
const all = dashboardsAsJson()
const panels = all.flatMap(({ title, panels: its }) =>
  its.map((panel) => ({ where: `${title}: ${panel.title}`, panel })),
)
const withQueries = panels.filter(({ panel }) => panel.type !== 'row')
const source = { type: 'prometheus', uid: '${datasource}' }
const chosen = { job: 'a', instance: 'b', container: 'c', __rate_interval: '5m', __range: '1h' }
const expressions = all
  .flatMap(expressionsOf)
  .map(({ where, expr }) => ({ where, expr: filledIn(expr, chosen) }))

test('the dashboards’ JSON files are up to date: npm run generate:dashboards', (t) => {
  const made = Object.entries(dashboards())
  for (const [name, dashboard] of made)
    t.is(readFileSync(join(directory, name), 'utf8'), renderDashboard(dashboard))
  t.deepEqual(readdirSync(directory).toSorted(), made.map(([name]) => name).toSorted())
})

test('data source, job and instance can be selected, including all, and follow the selected time range', (t) => {
  for (const { title, templating, editable, description } of all) {
    const [first, ...others] = templating.list
    t.like(
      first,
      { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
      title,
    )
    for (const [index, name] of ['job', 'instance'].entries()) {
      t.like(
        others[index],
        {
          name,
          label: `${name[0]?.toUpperCase()}${name.slice(1)}`,
          type: 'query',
          multi: true,
          includeAll: true,
          allValue: '.+',
        },
        title,
      )
    }
    for (const { datasource, refresh, name } of others) {
      t.deepEqual(datasource, source, name)
      t.is(refresh, 2, name)
    }
    t.false(editable, title)
    t.true(description.length > 0, title)
  }
  t.deepEqual(
    all.flatMap(({ templating }) => templating.list.filter(({ name }) => name === 'container')).length,
    1,
  )
})

test('every panel has a title, description, known unit, thresholds, queries and the selected data source', (t) => {
  const known = new Set<string>(Object.values(units).filter((unit) => typeof unit === 'string'))
  t.true(known.has('bytes') && known.has('percentunit'))
  for (const { where, panel } of withQueries) {
    t.regex(panel.title, /^[A-Z]/, where)
    t.regex(panel.description ?? '', /^[A-Z].*\.$/, where)
    t.true(known.has(panel.fieldConfig?.defaults.unit ?? ''), where)
    t.true((panel.fieldConfig?.defaults.thresholds?.steps.length ?? 0) >= 1, where)
    t.deepEqual(panel.datasource, source, where)
    t.true((panel.targets?.length ?? 0) > 0, where)
    for (const target of panel.targets ?? []) t.deepEqual(target.datasource, source, where)
  }
})

test('panels have unique IDs and do not overlap', (t) => {
  for (const { title, panels: its } of all) {
    t.is(new Set(its.map(({ id }) => id)).size, its.length, title)
    for (const [index, panel] of its.entries()) {
      t.true(panel.gridPos.x + panel.gridPos.w <= 24, panel.title)
      for (const other of its.slice(index + 1))
        t.false(overlap(panel, other), `${panel.title}, ${other.title}`)
    }
  }
})

test('every expression is valid PromQL and selects only series of the chosen job and instance', (t) => {
  t.true(expressions.length > 60)
  for (const { where, expr } of expressions) {
    const selectors = selectorsOf(expr)
    t.true(selectors.length > 0, where)
    for (const { matchers, metric } of selectors) {
      const isToChoose = /variable (job|instance)$/.test(where)
      t.true(isToChoose || matchers.includes('job=~"a"'), `${where}: ${metric}`)
      t.true(isToChoose || matchers.includes('instance=~"b"'), `${where}: ${metric}`)
    }
  }
})

test('invalid PromQL is detected', (t) => {
  t.throws(() => selectorsOf('sum(rate(x[5m])'), { message: /not PromQL/ })
  t.deepEqual(selectorsOf('rate(x_total{a="b"}[5m])'), [
    { metric: 'x_total', matchers: ['a="b"'], range: '5m', function: 'rate' },
  ])
})

test('counters are shown as a rate or increase over the interval that Grafana chooses', (t) => {
  const ranges = all
    .flatMap(expressionsOf)
    .flatMap(({ where, expr }) =>
      [...expr.matchAll(/(\w+)\([^()]*\[([^\]]+)\]/g)].map(([, called, range]) => ({ where, called, range })),
    )
  t.true(ranges.length > 20)
  for (const { where, called, range } of ranges) {
    const allowed = called === 'rate' ? ['$__rate_interval'] : ['$__rate_interval', '$__range']
    t.true(allowed.includes(range ?? ''), `${where}: ${called} over ${range}`)
  }
  const counted = expressions.flatMap(({ where, expr }) =>
    selectorsOf(expr).map((its) => ({ where, ...its })),
  )
  for (const { where, metric, function: called } of counted) {
    if (/_(total|bucket)$/.test(metric)) t.true(['rate', 'increase'].includes(called), `${where}: ${metric}`)
  }
})

// Series that Prometheus adds to each scrape (its documentation, Jobs and instances).
const ofPrometheus = ['up', 'scrape_duration_seconds', 'scrape_samples_scraped']

test('every metric in a dashboard is one of the daemon’s or recorded by the shipped rules', (t) => {
  const recorded = recordingGroups().flatMap(({ rules }) =>
    rules.flatMap((rule) => ('record' in rule ? [rule.record] : [])),
  )
  const known = new Set([...describeMetrics().map(({ name }) => name), ...recorded, ...ofPrometheus])
  for (const { where, expr } of expressions) {
    for (const { metric } of selectorsOf(expr))
      t.true(known.has(metric.replace(/_bucket$/, '')), `${where}: ${metric}`)
  }
})

test('every label in a dashboard exists on its metric', (t) => {
  const labels = new Map(describeMetrics().map(({ name, labels: its }) => [name, its]))
  for (const { where, expr } of expressions) {
    for (const { metric, matchers } of selectorsOf(expr)) {
      const known = labels.get(metric)
      if (known === undefined) continue
      for (const matcher of matchers) {
        const label = matcher.split(/[=!]/)[0] ?? ''
        t.true(['job', 'instance', ...known].includes(label), `${where}: ${label} of ${metric}`)
      }
    }
  }
})

test('findings are shown as annotations at their time', (t) => {
  for (const { title, annotations } of all) {
    const [first] = annotations.list
    t.like(first, { name: 'Findings', enable: true, useValueForTime: true, datasource: source }, title)
    t.regex(first?.expr ?? '', /^tidewatch_finding_last_timestamp_seconds\{.*\} \* 1000$/, title)
  }
})

function overlap({ gridPos: a }: PanelJson, { gridPos: b }: PanelJson): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
}
