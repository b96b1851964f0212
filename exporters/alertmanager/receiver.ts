import type { Config } from '../../agent/config/schema.ts'
import { poster } from '../http.ts'
import type { Receiver } from '../receiver.ts'
import { isOver, resendMs, toAlert } from './alert.ts'

// Alertmanager takes far more at once; small batches keep a slow instance from timing out on all of it.
const batchSize = 64

/** One Alertmanager instance. Each is told all: they do not tell each other of alerts (`gossip` is of silences and notifications). */
export function alertmanagerReceiver(
  config: Config['alertmanagers'][number],
  runbookBase?: string,
): Receiver {
  const { host, pathname } = new URL(config.url)
  const base = pathname.replace(/\/+$/, '')
  const post = poster(new URL(`${base}/api/v2/alerts`, config.url).href, config)
  return {
    name: `alertmanager/${host}${base}`,
    reachedBy: JSON.stringify({ ...config, min_severity: undefined, runbookBase }),
    minSeverity: config.min_severity,
    queuedBy: 'fingerprint',
    batchSize,
    send: (batch, now, signal) =>
      post(
        JSON.stringify(
          batch.map(({ finding, deliveredAt }) => toAlert(finding, deliveredAt, now, runbookBase)),
        ),
        {},
        signal,
      ),
    remindAfter: (finding, deliveredAt, now) => (isOver(finding, deliveredAt, now) ? null : resendMs),
  }
}
