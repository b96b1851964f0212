import { readFile } from 'node:fs/promises'
import * as http from 'node:http'
import * as https from 'node:https'
import type { HttpClientConfig } from '../agent/config/http-client.ts'
import { messageOf } from '../agent/lib/errors.ts'
import { version } from '../agent/lib/version.ts'

/** Sends one body. Resolves to whether it was accepted; rejects with an error that a retry may resolve. */
export type Post = (
  body: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
) => Promise<boolean>

/**
 * Posts JSON to one URL with the configured certificates and credentials. Node's fetch does not support client
 * certificates or a private CA, and it uses about 10 MB of memory; node:https avoids both.
 */
export function poster(url: string, config: HttpClientConfig): Post {
  const target = new URL(url)
  const isTls = target.protocol === 'https:'

  return async (body, headers, signal) => {
    const { tls, authorization } = await secretsOf(config)
    const aborted = AbortSignal.any([signal, AbortSignal.timeout(config.timeout)])
    const options = {
      method: 'POST',
      signal: aborted,
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        'user-agent': `tidewatch/${version}`,
        ...(authorization === '' ? {} : { authorization }),
        ...headers,
      },
    }
    const status = await new Promise<number>((resolve, reject) => {
      const request = isTls
        ? https.request(target, { ...options, ...tls, agent: false })
        : http.request(target, { ...options, agent: false })
      request.once('error', reject)
      request.once('response', (response) => {
        // Only the status is needed, and the body may be endless.
        response.once('error', () => undefined)
        response.destroy()
        resolve(response.statusCode ?? 0)
      })
      request.end(body)
    }).catch((error: unknown) => {
      throw aborted.aborted && !signal.aborted
        ? new Error(`no answer within ${config.timeout / 1_000} s`, { cause: error })
        : error
    })
    return isAccepted(status)
  }
}

/** True if accepted, false if rejected as invalid (4xx). Throws for any other status, which is worth a retry. */
function isAccepted(status: number): boolean {
  if (status >= 200 && status < 300) return true
  if (status >= 400 && status < 500 && !temporaryStatuses.has(status)) return false
  throw new Error(`HTTP ${status} ${http.STATUS_CODES[status] ?? ''}`.trim())
}

// 408 and 429 ask for a retry (RFC 9110, RFC 6585). Wrong credentials or a wrong path are not the alert's fault: it
// will be accepted once the configuration or the receiver is fixed.
const temporaryStatuses: ReadonlySet<number> = new Set([401, 403, 404, 407, 408, 429])

async function secretsOf({ tls_config, basic_auth, authorization }: HttpClientConfig) {
  return {
    tls: {
      ca: await read(tls_config?.ca_file),
      cert: await read(tls_config?.cert_file),
      key: await read(tls_config?.key_file),
      servername: tls_config?.server_name,
      rejectUnauthorized: tls_config?.insecure_skip_verify !== true,
    },
    authorization: await authorizationOf(basic_auth, authorization),
  }
}

async function authorizationOf(
  basic: HttpClientConfig['basic_auth'],
  token: HttpClientConfig['authorization'],
): Promise<string> {
  if (basic !== undefined) {
    const password = await readSecret(basic.password_file)
    return `Basic ${Buffer.from(`${basic.username}:${password}`).toString('base64')}`
  }
  return token === undefined ? '' : `${token.type} ${await readSecret(token.credentials_file)}`
}

/** Reads a secret from a file, without the trailing newline that editors add. Errors never contain the secret. */
export async function readSecret(file: string): Promise<string> {
  const secret = ((await read(file)) ?? '').replace(/[\r\n]+$/, '')
  if (/[^\x20-\x7e\x80-\uffff]/.test(secret))
    throw new Error(`${file} contains more than one line, or is not text`)
  return secret
}

async function read(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined
  return await readFile(file, 'utf8').catch((error: unknown) => {
    throw new Error(`cannot read ${file}: ${messageOf(error)}`, { cause: error })
  })
}
