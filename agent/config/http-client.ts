import { z } from 'zod'
import { duration } from './units.ts'

const pemFile = (what: string) => z.string().min(1).optional().describe(`PEM file with ${what}.`)

/**
 * The HTTP client settings of a receiver, with Prometheus' key names
 * (https://prometheus.io/docs/prometheus/latest/configuration/configuration/, `http_config`). Secrets are only read
 * from files: they are read again for every request, and systemd's LoadCredential can provide them.
 */
export const httpClientShape = {
  timeout: duration('10s').describe('Timeout of one request.'),
  tls_config: z
    .strictObject({
      ca_file: pemFile(
        'the CA certificates to verify the receiver’s certificate; the system’s CAs by default',
      ),
      cert_file: pemFile('the client certificate'),
      key_file: pemFile('the client’s private key'),
      server_name: z
        .string()
        .min(1)
        .optional()
        .describe('Server name to verify in the certificate, if it differs from the host in the URL.'),
      insecure_skip_verify: z
        .boolean()
        .default(false)
        .describe('Accepts any certificate: anyone on the network path can read and change the requests.'),
    })
    .refine(
      ({ cert_file, key_file }) => (cert_file === undefined) === (key_file === undefined),
      'cert_file and key_file must be set together',
    )
    .optional()
    .describe('TLS for an https:// URL.'),
  basic_auth: z
    .strictObject({
      username: z.string().min(1).describe('User name.'),
      password_file: z.string().min(1).describe('File that contains the password.'),
    })
    .optional()
    .describe('Basic authentication (RFC 7617).'),
  authorization: z
    .strictObject({
      type: z
        .string()
        .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 'expected a single word')
        .default('Bearer')
        .describe('Scheme of the Authorization header.'),
      credentials_file: z.string().min(1).describe('File that contains the token.'),
    })
    .optional()
    .describe('Token in the Authorization header.'),
}

/** The HTTP client settings that all receivers share. */
export type HttpClientConfig = z.output<z.ZodObject<typeof httpClientShape>>

/** Both methods use the Authorization header, so only one can be set. */
export function hasOneAuthentication({
  basic_auth,
  authorization,
}: Pick<HttpClientConfig, 'basic_auth' | 'authorization'>): boolean {
  return basic_auth === undefined || authorization === undefined
}
