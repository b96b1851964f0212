import type { SourceName, SourceStatus } from '../model/observation.ts'

export type ServiceStatus = {
  containersRunning: number
  sources: readonly { name: SourceName; status: SourceStatus | undefined }[]
  /** Since the daemon started. */
  findings: number
  /** Conditions that hold now. */
  firing: number
}

/** What `systemctl status` shows of the daemon: what it watches, what it lacks, what it found. */
export function statusLine({ containersRunning, sources, findings, firing }: ServiceStatus): string {
  const lacking = sources.flatMap(({ name, status }) => {
    if (status === undefined) return [`${name} starting`]
    if (!status.up) return [`${name} down`]
    return status.best ? [] : [`${name} in mode ${status.mode} only`]
  })
  const state = lacking.length === 0 ? `all ${sources.length} sources at their best` : lacking.join(', ')
  return [
    counted(containersRunning, 'running container'),
    state,
    `${counted(findings, 'finding')} since start, ${firing} firing`,
  ].join('; ')
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
