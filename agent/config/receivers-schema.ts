import { z } from 'zod'
import { severities } from '../model/finding.ts'
import { hasOneAuthentication, httpClientShape } from './http-client.ts'

const receiverUrl = z
  .url({ protocol: /^https?$/, error: 'expected an http:// or https:// URL', abort: true })
  .refine((url) => new URL(url).username === '', 'credentials do not belong in the URL')
const minSeverity = z.enum(severities).default('warning').describe('Findings below it are not sent.')
const oneAuthentication = 'basic_auth and authorization exclude each other'

const alertmanager = z
  .strictObject({
    url: receiverUrl.describe('Base URL of one Alertmanager instance; name every instance of a cluster.'),
    min_severity: minSeverity,
    ...httpClientShape,
  })
  .refine(hasOneAuthentication, oneAuthentication)

const webhook = z
  .strictObject({
    url: receiverUrl.describe('Where each finding is posted to as JSON.'),
    format: z
      .enum(['tidewatch', 'falco'])
      .default('tidewatch')
      .describe('tidewatch: the finding itself; falco: as Falco writes alerts, for falcosidekick.'),
    min_severity: minSeverity,
    secret_file: z
      .string()
      .min(1)
      .optional()
      .describe('File whose content signs each request (HMAC-SHA256, X-Tidewatch-Signature).'),
    ...httpClientShape,
  })
  .refine(hasOneAuthentication, oneAuthentication)

function areDifferent(all: readonly { url: string }[]): boolean {
  return new Set(all.map(({ url }) => url)).size === all.length
}

/** Who is told: the section `alertmanagers`. */
export const alertmanagersSchema = z
  .array(alertmanager)
  .refine(areDifferent, 'an instance is named twice')
  .default([])
  .describe('Every Alertmanager instance that alerts go to.')

/** And the section `webhooks`. */
export const webhooksSchema = z
  .array(webhook)
  .refine(areDifferent, 'an URL is named twice')
  .default([])
  .describe('Further receivers: each finding is one POST.')
