import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard'
import { container } from './container.ts'
import { hostOverview } from './host-overview.ts'
import { tidewatchItself } from './tidewatch-itself.ts'

/** The dashboards that are shipped, by the names of their files. */
export function dashboards(): Readonly<Record<string, Dashboard>> {
  return {
    'host-overview.json': hostOverview(),
    'container.json': container(),
    'tidewatch-itself.json': tidewatchItself(),
  }
}

/** The text of a dashboard's file. */
export function renderDashboard(dashboard: Dashboard): string {
  return `${JSON.stringify(dashboard, null, 2)}\n`
}
