import { createHmac } from 'node:crypto'
import type { Config } from '../../agent/config/schema.ts'
import type { Finding } from '../../agent/model/finding.ts'
import { poster, readSecret } from '../http.ts'
import type { Receiver } from '../receiver.ts'
import { toFalco } from './falco.ts'

type Webhook = Config['webhooks'][number]

/** A receiver of any make: each finding is one POST, once when it fires and once when it is resolved. */
export function webhookReceiver(config: Webhook): Receiver {
  const { host, pathname } = new URL(config.url)
  const post = poster(config.url, config)
  return {
    // A path may be the secret of the receiver, as Slack's is.
    name: `webhook/${host}${pathname === '/' ? '' : '/…'}`,
    reachedBy: JSON.stringify({ ...config, min_severity: undefined }),
    minSeverity: config.min_severity,
    queuedBy: 'finding',
    batchSize: 1,
    send: async ([delivery], now, signal) => {
      if (delivery === undefined) return true
      const { finding } = delivery
      const body = JSON.stringify(bodies[config.format](finding))
      const seconds = String(Math.floor(now / 1_000))
      const secret = config.secret_file === undefined ? undefined : await readSecret(config.secret_file)
      const signature = secret === undefined ? {} : signatureHeaders(secret, seconds, body)
      return await post(body, { 'x-tidewatch-finding-id': finding.id, ...signature }, signal)
    },
    remindAfter: () => null,
  }
}

const bodies: Readonly<Record<Webhook['format'], (finding: Finding) => unknown>> = {
  tidewatch: (finding) => finding,
  falco: toFalco,
}

/** Proves that a body is tidewatch's, and from when: HMAC-SHA256 (RFC 2104) over the time, a full stop and the body. */
export function signatureHeaders(secret: string, seconds: string, body: string): Record<string, string> {
  const digest = createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')
  return { 'x-tidewatch-timestamp': seconds, 'x-tidewatch-signature': `sha256=${digest}` }
}
