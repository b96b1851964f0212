import { readFile } from 'node:fs/promises'
import * as http from 'node:http'
import * as https from 'node:https'
import type { HttpClientConfig } from '../agent/config/http-client.ts'
import { messageOf } from '../agent/lib/errors.ts'
import { version } from '../agent/lib/version.ts'
import { clockSkew } from './date-header.ts'

/** The response to one request. `rejected`: invalid, so a retry would not help. `refused`: a retry may succeed. */
export type Answer = {
  outcome: 'accepted' | 'rejected' | 'refused'
  /** The status as text: `HTTP 503 Service Unavailable`. */
  status: string
  /** How far the receiver's clock is ahead of ours, in milliseconds; null if the response does not show it. */
  clockSkewMs: number | null
}

/** What a request depends on besides its content. `now` is the current time in epoch milliseconds. */
export type PostOptions = { now: () => number; signal: AbortSignal }

/** Sends one body. Rejects if there is no response. */
export type Post = (
  body: string,
  headers: Readonly<Record<string, string>>,
  options: PostOptions,
) => Promise<Answer>

/**
 * Posts JSON to one URL with the configured certificates and credentials. Node's fetch does not support client
 * certificates or a private CA, and it uses about 10 MB of memory; node:https avoids both.
 */
export function poster(url: string, config: HttpClientConfig): Post {
  const target = new URL(url)
  const isTls = target.protocol === 'https:'

  return async (body, headers, { now, signal }) => {
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
    const startedAt = performance.now()
    const { statusCode = 0, headers: answered } = await new Promise<http.IncomingMessage>(
      (resolve, reject) => {
        const request = isTls
          ? https.request(target, { ...options, ...tls, agent: false })
          : http.request(target, { ...options, agent: false })
        request.once('error', reject)
        request.once('response', (response) => {
          // Only the status and the date are needed, and the body may be endless.
          response.once('error', () => undefined)
          response.destroy()
          resolve(response)
        })
        request.end(body)
      },
    ).catch((error: unknown) => {
      throw aborted.aborted && !signal.aborted
        ? new Error(`no answer within ${config.timeout / 1_000} s`, { cause: error })
        : error
    })
    return {
      outcome: outcomeOf(statusCode),
      status: `HTTP ${statusCode} ${http.STATUS_CODES[statusCode] ?? ''}`.trim(),
      clockSkewMs: clockSkew(answered.date, now(), performance.now() - startedAt),
    }
  }
}

function outcomeOf(status: number): Answer['outcome'] {
  if (status >= 200 && status < 300) return 'accepted'
  return status >= 400 && status < 500 && !temporaryStatuses.has(status) ? 'rejected' : 'refused'
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
