import type { SourceName, SourceStatus } from '../model/observation.ts'

export type ServiceStatus = {
  containersRunning: number
  sources: readonly { name: SourceName; status: SourceStatus | undefined }[]
  /** Since the daemon started. */
  findings: number
  /** Currently firing conditions. */
  firing: number
}

/** The daemon's line in `systemctl status`: containers, degraded sources and findings. */
export function statusLine({ containersRunning, sources, findings, firing }: ServiceStatus): string {
  const problems = sources.flatMap(({ name, status }) => {
    if (status === undefined) return [`${name} starting`]
    if (!status.up) return [`${name} down`]
    return status.best ? [] : [`${name} degraded (mode ${status.mode})`]
  })
  const state = problems.length === 0 ? `all sources up (${sources.length})` : problems.join(', ')
  return [
    counted(containersRunning, 'running container'),
    state,
    `${counted(findings, 'finding')} since start, ${firing} firing`,
  ].join('; ')
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
