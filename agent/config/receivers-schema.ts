import { z } from 'zod'
import { severities } from '../model/finding.ts'
import { hasOneAuthentication, httpClientShape } from './http-client.ts'

const receiverUrl = z
  .url({ protocol: /^https?$/, error: 'expected an http:// or https:// URL', abort: true })
  .refine((url) => new URL(url).username === '', 'the URL must not contain credentials')
const minSeverity = z
  .enum(severities)
  .default('warning')
  .describe('Minimum severity; less severe findings are not sent.')
const oneAuthentication = 'basic_auth and authorization are mutually exclusive'

const alertmanager = z
  .strictObject({
    url: receiverUrl.describe('Base URL of one Alertmanager instance. List every instance of a cluster.'),
    min_severity: minSeverity,
    ...httpClientShape,
  })
  .refine(hasOneAuthentication, oneAuthentication)

const webhook = z
  .strictObject({
    url: receiverUrl.describe('URL that receives each finding as a JSON POST request.'),
    format: z
      .enum(['tidewatch', 'falco'])
      .default('tidewatch')
      .describe('tidewatch: the finding itself; falco: the format of Falco alerts, for falcosidekick.'),
    min_severity: minSeverity,
    send_resolved: z
      .boolean()
      .default(true)
      .describe('Whether a finding is sent again when it is resolved, or allowed by a changed policy.'),
    secret_file: z
      .string()
      .min(1)
      .optional()
      .describe('File with the key that signs each request (HMAC-SHA256, header X-Tidewatch-Signature).'),
    ...httpClientShape,
  })
  .refine(hasOneAuthentication, oneAuthentication)

function areDifferent(all: readonly { url: string }[]): boolean {
  return new Set(all.map(({ url }) => url)).size === all.length
}

/** The section `alertmanagers`. */
export const alertmanagersSchema = z
  .array(alertmanager)
  .refine(areDifferent, 'the same instance is listed twice')
  .default([])
  .describe('All Alertmanager instances that receive alerts.')

/** The section `webhooks`. */
export const webhooksSchema = z
  .array(webhook)
  .refine(areDifferent, 'the same URL is listed twice')
  .default([])
  .describe('Webhooks: each finding is sent as one POST request.')
