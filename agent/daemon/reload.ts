import type { Logger } from 'winston'
import type { Metrics } from '../../exporters/prometheus/index.ts'
import type { CurrentConfig } from '../config/current.ts'
import { reload } from '../config/reload.ts'
import type { Config } from '../config/schema.ts'
import type { Policy } from '../policy/policy.ts'
import type { Publisher } from './publisher.ts'

export type ReloadOptions = {
  current: CurrentConfig
  load: () => Config
  policy: Pick<Policy, 'replace'>
  publisher: Pick<Publisher, 'reconsider'>
  queueForReceivers: () => void
  metrics: Pick<Metrics, 'configurationLoaded' | 'configurationChanged'>
  log: Logger
  now: () => number
}

/** Handles SIGHUP: reads the configuration again and replaces the old one as a whole, or not at all. */
export function reloadConfiguration({
  current,
  load,
  policy,
  publisher,
  queueForReceivers,
  metrics,
  log,
  now,
}: ReloadOptions): void {
  const reloaded = reload(current.now(), load)
  metrics.configurationLoaded(reloaded.ok, now())
  if (!reloaded.ok) {
    log.error('configuration not reloaded, the previous one stays in effect:')
    for (const problem of reloaded.problems) log.error(problem)
    return
  }
  const { config: next, changed, atNextStart } = reloaded
  // The policy first: it applies to the findings of restarted detectors.
  policy.replace(next.policy)
  current.replace(next)
  log.level = next.log.level
  metrics.configurationChanged()
  publisher.reconsider()
  queueForReceivers()
  const sections = changed.length === 0 ? 'no changes' : `changed: ${changed.join(', ')}`
  log.info(`configuration reloaded, ${sections}`, { changed })
  for (const key of atNextStart) log.warn(`${key} also changed, which takes effect after a restart`, { key })
}
