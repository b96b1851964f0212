import { dashboards } from '../../exporters/grafana/index.ts'

/** The properties of a dashboard's JSON that tests use. */
export type DashboardJson = {
  uid: string
  title: string
  description: string
  editable: boolean
  refresh: string
  panels: PanelJson[]
  templating: { list: VariableJson[] }
  annotations: {
    list: { name: string; enable: boolean; datasource: Source; expr: string; useValueForTime: boolean }[]
  }
}
type Source = { type: string; uid: string }
export type VariableJson = {
  type: string
  name: string
  label: string
  query: string
  multi: boolean
  includeAll: boolean
  allValue?: string
  refresh?: number
  datasource?: Source
}
export type PanelJson = {
  id: number
  type: string
  title: string
  description?: string
  datasource?: Source
  gridPos: { x: number; y: number; w: number; h: number }
  fieldConfig?: {
    defaults: { unit?: string; thresholds?: { steps: { value: number | null; color: string }[] } }
  }
  targets?: { expr: string; refId: string; datasource: Source; instant: boolean; range: boolean }[]
}

/** The dashboards as loaded by Grafana. */
export function dashboardsAsJson(): DashboardJson[] {
  return Object.values(dashboards()).map(
    (dashboard) => JSON.parse(JSON.stringify(dashboard)) as DashboardJson,
  )
}

/** Every expression of a dashboard, with its panel, variable or annotation. */
export function expressionsOf({
  title,
  panels,
  templating,
  annotations,
}: DashboardJson): { where: string; expr: string }[] {
  return [
    ...panels.flatMap((panel) =>
      (panel.targets ?? []).map(({ expr, refId }) => ({ where: `${title}: ${panel.title} ${refId}`, expr })),
    ),
    ...templating.list
      .filter(({ type }) => type === 'query')
      .map(({ name, query }) => ({
        where: `${title}: variable ${name}`,
        expr: /^label_values\((.*), \w+\)$/.exec(query)?.[1] ?? '',
      })),
    ...annotations.list.map(({ name, expr }) => ({ where: `${title}: annotation ${name}`, expr })),
  ]
}

/** An expression as sent by Grafana with these values of the variables. */
export function filledIn(expr: string, values: Readonly<Record<string, string>>): string {
  return expr.replace(/\$(\w+)/g, (_, name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`no value for the variable ${name}`)
    return value
  })
}
