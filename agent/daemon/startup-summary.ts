import type { LogLine } from '../log/entry.ts'
import { sourceEntry, type SourceHealth } from './source-health.ts'

export type StartupSummary = {
  version: string
  host: string
  directory: string
  storeMode: string
  url: string
  containersRunning: number
  receivers: readonly string[]
  sources: ReturnType<SourceHealth['all']>
}

/** The first lines of the log, one per subject: the host, the sources, the store, the receivers and the pages. */
export function startupSummary(summary: StartupSummary): LogLine[] {
  const { version, host, directory, storeMode, url, containersRunning, receivers, sources } = summary
  const containers = `${containersRunning} running ${containersRunning === 1 ? 'container' : 'containers'}`
  const info = (message: string, fields: object): LogLine => ({ ...fields, level: 'info', message })
  return [
    info(`tidewatch ${version} is monitoring ${host} (${containers})`, {
      ...{ version, host, url, containers_running: containersRunning },
    }),
    ...sources.map(({ name, status }) =>
      status === undefined
        ? info(`source ${name} is starting`, { source: name, state: 'starting' })
        : sourceEntry(status),
    ),
    info(
      storeMode === 'file'
        ? `findings are stored in ${directory}; read them with: tidewatch findings`
        : 'findings are stored in memory',
      { store: storeMode, directory },
    ),
    info(
      receivers.length === 0
        ? 'no alert receivers configured; add one under `alertmanagers:`'
        : `alerts are sent to ${receivers.join(', ')}`,
      { receivers },
    ),
    info(`metrics are at ${url}/metrics, the status page is at ${url}/`, { url }),
  ]
}
