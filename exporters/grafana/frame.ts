import type { Builder } from '@grafana/grafana-foundation-sdk/cog'
import {
  AnnotationQueryBuilder,
  DashboardBuilder,
  type Dashboard,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  type Panel as BuiltPanel,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { datasource, selector } from './panels.ts'

/** The specific content of a dashboard, without the elements that all dashboards share. */
export type Content = {
  uid: string
  title: string
  description: string
  /** Whether the dashboard shows one container, selected by a variable. */
  ofContainer?: boolean
  rows: Readonly<Record<string, readonly Builder<BuiltPanel>[]>>
}

/** Builds a dashboard: variables for data source, job and instance, findings as annotations, links, and rows. */
export function dashboard({ uid, title, description, ofContainer = false, rows }: Content): Dashboard {
  const builder = new DashboardBuilder(title)
    .uid(uid)
    .description(description)
    .tags(['tidewatch'])
    .readonly()
    .refresh('30s')
    .time({ from: 'now-3h', to: 'now' })
    .timezone('browser')
    .link(
      new DashboardLinkBuilder('tidewatch')
        .type(DashboardLinkType.Dashboards)
        .tags(['tidewatch'])
        .includeVars(true)
        .keepTime(true),
    )
    .withVariable(new DatasourceVariableBuilder('datasource').label('Data source').type('prometheus'))
    .withVariable(
      variable('job', 'label_values(tidewatch_build_info, job)').multi(true).includeAll(true).allValue('.+'),
    )
    .withVariable(
      variable('instance', 'label_values(tidewatch_build_info{job=~"$job"}, instance)')
        .multi(true)
        .includeAll(true)
        .allValue('.+'),
    )
  if (ofContainer)
    builder.withVariable(
      variable('container', `label_values(tidewatch_container_info${selector()}, container)`),
    )
  builder.annotation(findings(ofContainer ? ['container=~"$container"'] : []))
  for (const [name, panels] of Object.entries(rows)) {
    builder.withRow(new RowBuilder(name))
    for (const panel of panels) builder.withPanel(panel)
  }
  return withPanelIds(builder.build())
}

function variable(name: string, query: string): QueryVariableBuilder {
  const builder = new QueryVariableBuilder(name)
    .label(name[0]?.toUpperCase() + name.slice(1))
    .query(query)
    .datasource(datasource)
    .refresh(VariableRefresh.OnTimeRangeChanged)
  // oxlint-disable-next-line unicorn/no-array-sort -- not an array, but the builder's setting of that name
  return builder.sort(VariableSort.AlphabeticalAsc)
}

/** Marks the times of findings. The value of the series is the time, in milliseconds as Grafana expects it. */
function findings(matchers: readonly string[]): AnnotationQueryBuilder {
  return new AnnotationQueryBuilder()
    .name('Findings')
    .datasource(datasource)
    .enable(true)
    .iconColor('red')
    .expr(`tidewatch_finding_last_timestamp_seconds${selector('severity!="info"', ...matchers)} * 1000`)
    .useValueForTime(true)
    .titleFormat('{{rule}}')
    .textFormat('{{severity}} in {{container}} on {{instance}}')
    .tagKeys('detector,severity')
    .step('30s')
}

/** Links to panels need stable panel IDs. */
function withPanelIds(built: Dashboard): Dashboard {
  built.panels?.forEach((panel, index) => (panel.id = index + 1))
  return built
}
