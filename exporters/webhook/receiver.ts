import { createHmac } from 'node:crypto'
import type { Config } from '../../agent/config/schema.ts'
import type { Finding } from '../../agent/model/finding.ts'
import { poster, readSecret } from '../http.ts'
import type { Describe, Receiver } from '../receiver.ts'
import { toFalco } from './falco.ts'

type Webhook = Config['webhooks'][number]

/** A generic receiver: one POST when a finding fires, one when its count rises, and one when it is resolved. */
export function webhookReceiver(config: Webhook): Receiver {
  const { host, pathname } = new URL(config.url)
  const post = poster(config.url, config)
  return {
    // The path may contain a secret, as in Slack's URLs.
    name: `webhook/${host}${pathname === '/' ? '' : '/…'}`,
    connectionKey: JSON.stringify({ ...config, min_severity: undefined, send_resolved: undefined }),
    minSeverity: config.min_severity,
    sendResolved: config.send_resolved,
    corrects: canCorrect(config) ? 'signature' : 'nothing',
    queuedBy: 'finding',
    batchSize: 1,
    send: async ([delivery], { describe, now, correctionMs, signal }) => {
      if (delivery === undefined) throw new Error('a webhook gets one finding per request')
      const { finding } = delivery
      const body = JSON.stringify(bodies[config.format](finding, describe))
      const seconds = String(Math.floor((now() + (canCorrect(config) ? correctionMs : 0)) / 1_000))
      const secret = config.secret_file === undefined ? undefined : await readSecret(config.secret_file)
      const signature = secret === undefined ? {} : signatureHeaders(secret, seconds, body)
      return await post(body, { 'x-tidewatch-finding-id': finding.id, ...signature }, { now, signal })
    },
    remindAfter: () => null,
  }
}

const bodies: Readonly<
  Record<Webhook['format'], (finding: Finding, describe: Pick<Describe, 'techniqueOf'>) => unknown>
> = {
  tidewatch: (finding) => finding,
  falco: toFalco,
}

/**
 * Whether the timestamps of signatures may follow the receiver's clock: it rejects old ones. Without TLS, anyone on the
 * network path could set the Date header and thereby obtain signatures that are valid in the future.
 */
function canCorrect({ url, secret_file, tls_config }: Webhook): boolean {
  const isVerified = new URL(url).protocol === 'https:' && tls_config?.insecure_skip_verify !== true
  return secret_file !== undefined && isVerified
}

/** Authenticates the body and its time: HMAC-SHA256 (RFC 2104) over the timestamp, a full stop and the body. */
export function signatureHeaders(secret: string, seconds: string, body: string): Record<string, string> {
  const digest = createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')
  return { 'x-tidewatch-timestamp': seconds, 'x-tidewatch-signature': `sha256=${digest}` }
}
