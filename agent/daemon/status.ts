import type { Findings } from '../findings/findings.ts'
import type { Publication } from '../findings/publication.ts'
import type { ContainerView } from '../model/container.ts'
import { statusLine } from '../service/status-line.ts'
import type { SourceHealth } from './source-health.ts'
import type { Store } from '../store/store.ts'
import { version } from '../lib/version.ts'

export type StatusOptions = {
  host: string
  containers: Pick<ContainerView, 'running'>
  health: Pick<SourceHealth, 'all'>
  findings: Pick<Findings, 'firing'>
  store: Pick<Store, 'mode' | 'pending' | 'latest'>
  receiverNames: () => readonly string[]
  /** Epoch milliseconds. */
  now: () => number
}

// The number of findings on the status page: a few screens.
const latestFindings = 50

/** The daemon's status, for the status page, the service manager and the start-up summary. */
export function daemonStatus(options: StatusOptions) {
  const { host, containers, health, findings, store, receiverNames, now } = options
  const startedAt = now()
  let published = 0

  const brief = () => ({ containersRunning: containers.running().length, sources: health.all() })

  return {
    /** Call with every publication; only new findings that are not suppressed count. */
    countPublished({ change, finding }: Publication): void {
      if (change === 'new' && finding.state === 'firing') published += 1
    },
    full: () => ({
      ...brief(),
      host,
      version,
      startedAt,
      now: now(),
      receivers: receiverNames().map((name) => ({ name, waiting: store.pending(name) })),
      storeMode: store.mode(),
      firing: findings.firing(),
      latest: store.latest(latestFindings),
    }),
    line: () => statusLine({ ...brief(), findings: published, firing: findings.firing().length }),
  }
}
