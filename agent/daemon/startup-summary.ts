import type { SourceHealth } from './source-health.ts'

export type Welcome = {
  version: string
  host: string
  directory: string
  storeMode: string
  url: string
  containersRunning: number
  receivers: readonly string[]
  sources: ReturnType<SourceHealth['all']>
}

/** What a person wants to know of a daemon that has just started. */
export function welcomeLines(welcome: Welcome): string[] {
  const { version, host, directory, storeMode, url, containersRunning, receivers, sources } = welcome
  const width = Math.max(...sources.map(({ name }) => name.length))
  return [
    `tidewatch ${version} watches ${host}: ${containersRunning} running ${containersRunning === 1 ? 'container' : 'containers'}`,
    ...sources.map(({ name, status }) => `  ${name.padEnd(width)}  ${stateOf(status)}`),
    `findings  ${storeMode === 'file' ? `in ${directory}, read them with: tidewatch findings` : 'in memory only'}`,
    `alerts    ${receivers.length === 0 ? 'to nobody yet: name your Alertmanagers in a configuration file' : `to ${receivers.join(', ')}`}`,
    `metrics   ${url}/metrics`,
    `page      ${url}/`,
  ]
}

function stateOf(status: Welcome['sources'][number]['status']): string {
  if (status === undefined) return 'starting'
  if (!status.up) return `down: ${status.reason}`
  return status.best ? status.mode : `${status.mode} only: ${status.reason}`
}
