import { readFile } from 'node:fs/promises'
import * as http from 'node:http'
import * as https from 'node:https'
import type { HttpClientConfig } from '../agent/config/http-client.ts'
import { messageOf } from '../agent/lib/errors.ts'
import { version } from '../agent/lib/version.ts'

/** Sends one body; resolves to whether it was taken, rejects with what may be gone at the next try. */
export type Post = (
  body: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
) => Promise<boolean>

/**
 * Posts JSON to one URL, with the certificates and the credentials of the configuration. Node's fetch knows of no
 * certificates of one's own, and its machinery takes some 10 MB; a request of node:https needs neither.
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
        // What it says beside the status is not needed, and may be endless.
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
    return isTaken(status)
  }
}

/** True when taken, false when refused as wrong (4xx); anything else is worth another try. */
function isTaken(status: number): boolean {
  if (status >= 200 && status < 300) return true
  if (status >= 400 && status < 500 && !passingStatuses.has(status)) return false
  throw new Error(`HTTP ${status} ${http.STATUS_CODES[status] ?? ''}`.trim())
}

// 408 and 429 ask for another try (RFC 9110, RFC 6585). What is refused for its credentials or its path is taken
// once somebody has mended the configuration or the receiver: it is no fault of the alert.
const passingStatuses: ReadonlySet<number> = new Set([401, 403, 404, 407, 408, 429])

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

/** The content of a secret's file without the line end that editors leave; fails without telling the content. */
export async function readSecret(file: string): Promise<string> {
  const secret = ((await read(file)) ?? '').replace(/[\r\n]+$/, '')
  if (/[^\x20-\x7e\x80-\uffff]/.test(secret)) throw new Error(`${file} holds more than one line, or no text`)
  return secret
}

async function read(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined
  return await readFile(file, 'utf8').catch((error: unknown) => {
    throw new Error(`cannot read ${file}: ${messageOf(error)}`, { cause: error })
  })
}
