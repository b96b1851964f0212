import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { createSecureContext, getCiphers, type SecureContextOptions } from 'node:tls'
import { z } from 'zod'
import { formatProblem, parseYaml } from '../../agent/config/load.ts'
import { exitConfiguration, messageOf, UserError } from '../../agent/lib/errors.ts'

/**
 * Security settings of the web endpoint, in the format of Prometheus' own servers, so that all can share one file
 * (https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md).
 */
export type WebConfig = {
  /** Null for plain HTTP. */
  tls: TlsConfig | null
  /** bcrypt hashes by user; no authentication if empty. */
  users: ReadonlyMap<string, string>
  /** Sent with every response. */
  headers: Readonly<Record<string, string>>
  /** Every file that was read; a change to any of them triggers a reload. */
  files: readonly string[]
}

export type TlsConfig = {
  context: SecureContextOptions
  clientAuth: ClientAuth
  /** The client's certificate must contain one of these names; any name is accepted if the list is empty. */
  allowedNames: readonly string[]
}

const clientAuthTypes = [
  'NoClientCert',
  'RequestClientCert',
  'RequireAnyClientCert',
  'VerifyClientCertIfGiven',
  'RequireAndVerifyClientCert',
] as const
export type ClientAuth = (typeof clientAuthTypes)[number]

// Go's names, and Node's for the same.
const versions = { TLS10: 'TLSv1', TLS11: 'TLSv1.1', TLS12: 'TLSv1.2', TLS13: 'TLSv1.3' } as const
const version = z.enum(['TLS10', 'TLS11', 'TLS12', 'TLS13'])
const curves = { CurveP256: 'P-256', CurveP384: 'P-384', CurveP521: 'P-521', X25519: 'X25519' } as const

const cipher = z.string().transform((name, context) => {
  const known = opensslName(name)
  if (getCiphers().includes(known.toLowerCase())) return known
  context.issues.push({
    code: 'custom',
    message: `this host does not support the cipher suite ${name}`,
    input: name,
  })
  return z.NEVER
})

const tlsSchema = z.strictObject({
  cert: z.string().optional(),
  cert_file: z.string().optional(),
  key: z.string().optional(),
  key_file: z.string().optional(),
  client_auth_type: z.enum(clientAuthTypes).default('NoClientCert'),
  client_ca: z.string().optional(),
  client_ca_file: z.string().optional(),
  client_allowed_sans: z.array(z.string()).default([]),
  min_version: version.default('TLS12'),
  max_version: version.default('TLS13'),
  cipher_suites: z.array(cipher).default([]),
  prefer_server_cipher_suites: z.boolean().default(true),
  curve_preferences: z.array(z.enum(['CurveP256', 'CurveP384', 'CurveP521', 'X25519'])).default([]),
})

const headerValue = z.string().regex(/^[\t\x20-\x7e]*$/, 'expected one line of plain text')

const webSchema = z.strictObject({
  tls_server_config: tlsSchema.optional(),
  http_server_config: z
    .strictObject({
      // Accepted for compatibility: the server only supports HTTP/1.1, and clients that prefer HTTP/2 fall back to it.
      http2: z.boolean().default(true),
      headers: z
        .strictObject({
          'Content-Security-Policy': headerValue.optional(),
          'X-Frame-Options': z.enum(['deny', 'sameorigin']).optional(),
          'X-Content-Type-Options': z.enum(['nosniff']).optional(),
          'X-XSS-Protection': headerValue.optional(),
          'Strict-Transport-Security': headerValue.optional(),
        })
        .prefault({}),
    })
    .prefault({}),
  basic_auth_users: z
    .record(z.string(), z.string().regex(/^\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}$/, 'expected a bcrypt hash'))
    .default({}),
})

/** Reads the file and all files it refers to. Throws one `UserError` that lists all problems. */
export function loadWebConfig(file: string): WebConfig {
  const parsed = parseYaml(readText(file), webSchema)
  if ('problems' in parsed) {
    const lines = parsed.problems.map((problem) => formatProblem(file, problem))
    throw new UserError(lines.join('\n'), exitConfiguration)
  }
  const { tls_server_config, http_server_config, basic_auth_users } = parsed.value
  const files = [file]
  const fromFile = (name: string | undefined) => {
    if (name === undefined) return undefined
    // Like in Prometheus' exporter-toolkit, paths are relative to the configuration file.
    const path = resolve(dirname(file), name)
    files.push(path)
    return readText(path)
  }
  const tls = tls_server_config === undefined ? null : tlsConfig(file, tls_server_config, fromFile)
  const headers = Object.entries(http_server_config.headers).filter(([, value]) => value !== undefined)
  return {
    tls,
    users: new Map(Object.entries(basic_auth_users)),
    headers: Object.fromEntries(headers) as Record<string, string>,
    files,
  }
}

function tlsConfig(
  file: string,
  settings: z.output<typeof tlsSchema>,
  fromFile: (name: string | undefined) => string | undefined,
): TlsConfig {
  const wrong = (message: string) =>
    new UserError(`${file}: tls_server_config: ${message}`, exitConfiguration)
  const cert = settings.cert ?? fromFile(settings.cert_file)
  const key = settings.key ?? fromFile(settings.key_file)
  const ca = settings.client_ca ?? fromFile(settings.client_ca_file)
  if (cert === undefined) throw wrong('cert or cert_file is required')
  if (key === undefined) throw wrong('key or key_file is required')
  const clientAuth = settings.client_auth_type
  const verifies = clientAuth === 'VerifyClientCertIfGiven' || clientAuth === 'RequireAndVerifyClientCert'
  if (verifies && ca === undefined) throw wrong(`client_auth_type ${clientAuth} needs client_ca_file`)
  if (!verifies && ca !== undefined)
    throw wrong('client_ca_file needs a client_auth_type that verifies certificates')
  const context: SecureContextOptions = {
    cert,
    key,
    ...(ca === undefined ? {} : { ca }),
    minVersion: versions[settings.min_version],
    maxVersion: versions[settings.max_version],
    honorCipherOrder: settings.prefer_server_cipher_suites,
    ...(settings.cipher_suites.length === 0 ? {} : { ciphers: settings.cipher_suites.join(':') }),
    ...(settings.curve_preferences.length === 0
      ? {}
      : { ecdhCurve: settings.curve_preferences.map((name) => curves[name]).join(':') }),
  }
  try {
    createSecureContext(context)
  } catch (error) {
    throw wrong(`certificate and key do not match or are invalid: ${messageOf(error)}`)
  }
  return { clientAuth, allowedNames: settings.client_allowed_sans, context }
}

/**
 * IANA's and Go's `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` is OpenSSL's `ECDHE-RSA-AES128-GCM-SHA256`; TLS 1.3 names
 * are equal.
 */
function opensslName(name: string): string {
  if (!name.includes('_WITH_')) return name
  return name
    .replace(/^TLS_(?:RSA_WITH_)?/, '')
    .replace('_WITH_', '_')
    .replace(/AES_(\d+)_CBC/, 'AES$1')
    .replace(/AES_(\d+)/, 'AES$1')
    .replace('POLY1305_SHA256', 'POLY1305')
    .replaceAll('_', '-')
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new UserError(`cannot read ${path}: ${messageOf(error)}`, exitConfiguration)
  }
}
