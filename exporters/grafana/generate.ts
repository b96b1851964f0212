import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { dashboards, renderDashboard } from './index.ts'

// `npm run generate:dashboards`: writes the dashboards' JSON files, which Grafana loads directly.
for (const [name, dashboard] of Object.entries(dashboards())) {
  writeFileSync(join(import.meta.dirname, 'dashboards', name), renderDashboard(dashboard))
}
