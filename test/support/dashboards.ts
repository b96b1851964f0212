import { dashboards } from '../../exporters/grafana/index.ts'

/** The parts of a dashboard's JSON that tests look at. */
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

/** The dashboards as Grafana reads them. */
export function dashboardsAsJson(): DashboardJson[] {
  return Object.values(dashboards()).map(
    (dashboard) => JSON.parse(JSON.stringify(dashboard)) as DashboardJson,
  )
}

/** Every expression of a dashboard, with the panel, variable or annotation that it is for. */
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

/** An expression as Grafana sends it, when these are chosen. */
export function filledIn(expr: string, values: Readonly<Record<string, string>>): string {
  return expr.replace(/\$(\w+)/g, (_, name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`no value for the variable ${name}`)
    return value
  })
}
