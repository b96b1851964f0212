import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog'
import {
  AxisPlacement,
  BarGaugeDisplayMode,
  BigValueColorMode,
  BigValueGraphMode,
  GraphDrawStyle,
  LegendDisplayMode,
  LegendPlacement,
  StackingMode,
  TableCellDisplayMode,
  TooltipDisplayMode,
  VisibilityMode,
} from '@grafana/grafana-foundation-sdk/common'
import * as common from '@grafana/grafana-foundation-sdk/common'
import {
  MappingType,
  type Threshold,
  type ThresholdsConfig,
  type ValueMap,
  type ValueMapping,
  ThresholdsConfigBuilder,
  ThresholdsMode,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus'
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat'
import { PanelBuilder as TimelineBuilder } from '@grafana/grafana-foundation-sdk/statetimeline'
import { PanelBuilder as TableBuilder } from '@grafana/grafana-foundation-sdk/table'
import { PanelBuilder as TimeSeriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries'

/** Properties of every panel; the compiler enforces the required ones. */
export type Panel = {
  title: string
  description: string
  /** One of Grafana's value formats: `bytes`, `s`, `percentunit`, `none`. */
  unit: string
  /** Expressions by the legend of their series, a Grafana template. */
  queries: Readonly<Record<string, string>>
  /** Thresholds from which values are shown in orange and in red. */
  warnFrom?: number
  badFrom?: number
  /** In 24ths of the page. */
  width?: number
  height?: number
}

/** The data source variable that every panel uses. */
export const datasource = { type: 'prometheus', uid: '${datasource}' }

/** A selector with the job and instance chosen in the dashboard's variables, and further matchers. */
export function selector(...more: readonly string[]): string {
  return `{${['job=~"$job"', 'instance=~"$instance"', ...more].join(',')}}`
}

/** Lines over time. */
export function lines(panel: Panel): TimeSeriesBuilder {
  return series(panel).drawStyle(GraphDrawStyle.Line).fillOpacity(10)
}

/** Counts over time as stacked bars. */
export function bars(panel: Panel): TimeSeriesBuilder {
  return series(panel)
    .drawStyle(GraphDrawStyle.Bars)
    .fillOpacity(80)
    .stacking(new common.StackingConfigBuilder().mode(StackingMode.Normal).group('A'))
}

function series(panel: Panel): TimeSeriesBuilder {
  return base(new TimeSeriesBuilder(), panel)
    .min(0)
    .lineWidth(1)
    .showPoints(VisibilityMode.Never)
    .axisPlacement(AxisPlacement.Auto)
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom)
        .showLegend(true),
    )
    .tooltip(new common.VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi))
}

/** One current number. */
export function stat(panel: Panel): StatBuilder {
  return base(new StatBuilder(), { width: 4, height: 4, ...panel }, 'now')
    .graphMode(BigValueGraphMode.None)
    .colorMode(BigValueColorMode.Value)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']))
}

/** States over time. */
export function timeline(panel: Panel): TimelineBuilder {
  return base(new TimelineBuilder(), panel).fillOpacity(70).lineWidth(0)
}

/** A table of series: the given labels and the value as columns, with these names and in this order. */
export function table(panel: Panel, columns: Readonly<Record<string, string>>): TableBuilder {
  const order = Object.fromEntries(Object.keys(columns).map((name, index) => [name, index]))
  return base(new TableBuilder(), panel, 'rows')
    .withTransformation({
      id: 'organize',
      options: {
        includeByName: Object.fromEntries(Object.keys(columns).map((name) => [name, true])),
        indexByName: order,
        renameByName: columns,
      },
    })
    .filterable(true)
}

/** Lost events by source. Without losses the panel shows zero instead of staying empty. */
export const lostBySource = `sum by (source) (increase(tidewatch_source_events_lost_total${selector()}[$__rate_interval])) or sum by (source) (tidewatch_source_up${selector()} * 0)`

/** The same colour for a severity in all panels. */
export const severityColors = Object.entries({ critical: 'red', warning: 'orange', info: 'blue' }).map(
  ([severity, color]) => ({
    matcher: { id: 'byName', options: severity },
    properties: [{ id: 'color', value: { mode: 'fixed', fixedColor: color } }],
  }),
)

/** Labels for a 0/1 value that should be 1. */
export const upOrDown = mapping({ '1': { text: 'up', color: 'green' }, '0': { text: 'down', color: 'red' } })

/** Labels for a 0/1 value that is 1 when a finding occurred. */
export const happenedOrNot = mapping({
  '1': { text: 'seen', color: 'orange' },
  '0': { text: ' ', color: 'transparent' },
})

/** Shows a column as a bar from 0 to 1. */
export const barCell = [
  { id: 'custom.cellOptions', value: { type: TableCellDisplayMode.Gauge, mode: BarGaugeDisplayMode.Basic } },
  { id: 'max', value: 1 },
]

function mapping(options: ValueMap['options']): ValueMapping[] {
  return [{ type: MappingType.ValueToText, options }]
}

type Base<B> = Builder<unknown> & {
  [name in 'title' | 'description' | 'unit']: (value: string) => B
} & {
  datasource(its: typeof datasource): B
  thresholds(its: Builder<ThresholdsConfig>): B
  withTarget(its: Builder<Dataquery>): B
  span(width: number): B
  height(height: number): B
}

function base<B extends Base<B>>(builder: B, panel: Panel, shows: 'range' | 'now' | 'rows' = 'range'): B {
  const { title, description, unit, queries, width = 12, height = 8 } = panel
  let made = builder
    .title(title)
    .description(description)
    .unit(unit)
    .datasource(datasource)
    .thresholds(new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(steps(panel)))
    .span(width)
    .height(height)
  Object.entries(queries).forEach(([legend, expr], index) => {
    const query = new DataqueryBuilder()
      .datasource(datasource)
      .refId(String.fromCharCode(65 + index))
      .expr(expr)
      .legendFormat(legend)
    made = made.withTarget(shows === 'range' ? query.range() : query.instant().format(formats[shows]))
  })
  return made
}

const formats = { now: PromQueryFormat.TimeSeries, rows: PromQueryFormat.Table }

function steps({ warnFrom, badFrom }: Panel): Threshold[] {
  return [
    { value: null, color: 'green' },
    ...(warnFrom === undefined ? [] : [{ value: warnFrom, color: 'orange' }]),
    ...(badFrom === undefined ? [] : [{ value: badFrom, color: 'red' }]),
  ]
}
