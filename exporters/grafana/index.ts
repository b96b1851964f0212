import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard'
import { container } from './container.ts'
import { hostOverview } from './host-overview.ts'
import { tidewatchItself } from './tidewatch-itself.ts'

/** The shipped dashboards by file name. */
export function dashboards(): Readonly<Record<string, Dashboard>> {
  return {
    'host-overview.json': hostOverview(),
    'container.json': container(),
    'tidewatch-itself.json': tidewatchItself(),
  }
}

/** The content of a dashboard's JSON file. */
export function renderDashboard(dashboard: Dashboard): string {
  return `${JSON.stringify(dashboard, null, 2)}\n`
}
