import { z } from 'zod'
import { duration } from './units.ts'

const pemFile = (what: string) => z.string().min(1).optional().describe(`PEM file of ${what}.`)

/**
 * How tidewatch talks to a receiver, with the names that Prometheus has for it
 * (https://prometheus.io/docs/prometheus/latest/configuration/configuration/, `http_config`). Secrets stand in files
 * only: those are read anew for every request, and systemd's LoadCredential hands them over.
 */
export const httpClientShape = {
  timeout: duration('10s').describe('How long one request may take.'),
  tls_config: z
    .strictObject({
      ca_file: pemFile(
        'the authorities that may have signed the receiver’s certificate; the system’s by default',
      ),
      cert_file: pemFile('the client certificate'),
      key_file: pemFile('its key'),
      server_name: z
        .string()
        .min(1)
        .optional()
        .describe('The name that the certificate has to hold, where that is not the one in the URL.'),
      insecure_skip_verify: z
        .boolean()
        .default(false)
        .describe('Takes any certificate: whoever is on the way may read and change what is sent.'),
    })
    .refine(
      ({ cert_file, key_file }) => (cert_file === undefined) === (key_file === undefined),
      'cert_file and key_file belong together',
    )
    .optional()
    .describe('TLS for an https:// URL.'),
  basic_auth: z
    .strictObject({
      username: z.string().min(1).describe('Name of the user.'),
      password_file: z.string().min(1).describe('File whose content is the password.'),
    })
    .optional()
    .describe('Basic authentication (RFC 7617).'),
  authorization: z
    .strictObject({
      type: z
        .string()
        .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 'expected one word')
        .default('Bearer')
        .describe('The scheme of the Authorization header.'),
      credentials_file: z.string().min(1).describe('File whose content is the token.'),
    })
    .optional()
    .describe('A token in the Authorization header.'),
}

/** The settings of one HTTP client, as far as all receivers share them. */
export type HttpClientConfig = z.output<z.ZodObject<typeof httpClientShape>>

/** One header cannot hold two. */
export function hasOneAuthentication({
  basic_auth,
  authorization,
}: Pick<HttpClientConfig, 'basic_auth' | 'authorization'>): boolean {
  return basic_auth === undefined || authorization === undefined
}
