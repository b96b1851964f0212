import type { Config } from '../../agent/config/schema.ts'
import type { Severity } from '../../agent/model/finding.ts'
import type { Receiver } from './deliver.ts'

/** An Alertmanager instance as it is configured, and the least severity it is sent. */
export type ConfiguredReceiver = Receiver & { minSeverity: Severity }

/** Every configured instance, named by its address without the credentials that a URL may hold. */
export function receiversOf({
  alertmanagers,
  runbook_base_url,
}: Pick<Config, 'alertmanagers' | 'runbook_base_url'>): ConfiguredReceiver[] {
  return alertmanagers.map(({ url, min_severity, timeout }) => {
    const { host, pathname } = new URL(url)
    return {
      name: `alertmanager/${host}${pathname.replace(/\/$/, '')}`,
      url,
      timeoutMs: timeout,
      minSeverity: min_severity,
      runbookBase: runbook_base_url,
    }
  })
}
