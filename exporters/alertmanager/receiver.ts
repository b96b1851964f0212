import type { Config } from '../../agent/config/schema.ts'
import { poster } from '../http.ts'
import type { Receiver } from '../receiver.ts'
import { isOver, resendMs, toAlert } from './alert.ts'

// Alertmanager accepts far larger batches. With small ones, a slow instance does not time out on all findings at once.
const batchSize = 64

/**
 * One Alertmanager instance. Every instance gets every alert: the instances of a cluster share silences and the
 * notification log (`gossip`), but not alerts.
 */
export function alertmanagerReceiver(config: Config['alertmanagers'][number]): Receiver {
  const { host, pathname } = new URL(config.url)
  const base = pathname.replace(/\/+$/, '')
  const post = poster(new URL(`${base}/api/v2/alerts`, config.url).href, config)
  return {
    name: `alertmanager/${host}${base}`,
    connectionKey: JSON.stringify({ ...config, min_severity: undefined }),
    minSeverity: config.min_severity,
    // It has its own `send_resolved` for each receiver, and an alert that does not end would fire again.
    sendResolved: true,
    corrects: 'alerts',
    queuedBy: 'alert',
    batchSize,
    send: async (batch, { describe, now, correctionMs, signal }) => {
      const shared = { describe, now: now(), correctionMs }
      const alerts = batch.map(({ finding, deliveredAt }) => toAlert(finding, { ...shared, deliveredAt }))
      return await post(JSON.stringify(alerts), {}, { now, signal })
    },
    remindAfter: (finding, deliveredAt, now) => (isOver(finding, deliveredAt, now) ? null : resendMs),
  }
}
