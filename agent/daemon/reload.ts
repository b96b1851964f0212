import type { Logger } from 'winston'
import type { Metrics } from '../../exporters/prometheus/index.ts'
import type { CurrentConfig } from '../config/current.ts'
import { reload } from '../config/reload.ts'
import type { Config } from '../config/schema.ts'
import type { Policy } from '../policy/policy.ts'
import type { Publisher } from './publisher.ts'

export type HangupOptions = {
  current: CurrentConfig
  load: () => Config
  policy: Pick<Policy, 'replace'>
  publisher: Pick<Publisher, 'reconsider'>
  metrics: Pick<Metrics, 'configurationLoaded' | 'configurationChanged'>
  log: Logger
  now: () => number
}

/** What SIGHUP does: the configuration is read anew and takes the place of the old one as a whole, or not at all. */
export function onHangup({ current, load, policy, publisher, metrics, log, now }: HangupOptions): void {
  const reloaded = reload(current.now(), load)
  metrics.configurationLoaded(reloaded.ok, now())
  if (!reloaded.ok) {
    log.error('the configuration is not reloaded, the old one stays in force:')
    for (const problem of reloaded.problems) log.error(problem)
    return
  }
  const { config: next, changed, atNextStart } = reloaded
  // The policy first: what the new detectors find is judged by it.
  policy.replace(next.policy)
  current.replace(next)
  log.level = next.log.level
  metrics.configurationChanged()
  publisher.reconsider()
  log.info(`the configuration is reloaded, ${changed.length === 0 ? 'nothing' : changed.join(', ')} changed`)
  for (const key of atNextStart) log.warn(`${key} changed too, which takes effect at the next start`)
}
