import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import test, { type ExecutionContext } from 'ava'
import type { HttpClientConfig } from '../../agent/config/http-client.ts'
import { poster } from '../../exporters/http.ts'
import { makeCertificates } from '../support/certificates.ts'
import { startHttpReceiver } from '../support/receiver.ts'

function scratch(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'tidewatch-test-http-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

const post = (url: string, config: Partial<HttpClientConfig> = {}) =>
  poster(url, { timeout: 5_000, ...config })('{}', {}, new AbortController().signal)

for (const [status, outcome] of [
  [200, true],
  [204, true],
  [400, false],
  [422, false],
  [413, false],
  [401, 'HTTP 401 Unauthorized'],
  [404, 'HTTP 404 Not Found'],
  [408, 'HTTP 408 Request Timeout'],
  [429, 'HTTP 429 Too Many Requests'],
  [302, 'HTTP 302 Found'],
  [500, 'HTTP 500 Internal Server Error'],
  [503, 'HTTP 503 Service Unavailable'],
] as const) {
  const what = outcome === true ? 'accepted' : outcome === false ? 'rejected permanently' : 'worth a retry'
  test(`a response with status ${status} is ${what}`, async (t) => {
    const receiver = await startHttpReceiver(t)
    receiver.replyWith((response) => response.writeHead(status).end())
    if (typeof outcome === 'boolean') t.is(await post(receiver.url), outcome)
    else await t.throwsAsync(post(receiver.url), { message: outcome })
  })
}

test('the password file is read for every request, without its trailing newline', async (t) => {
  const receiver = await startHttpReceiver(t)
  const password_file = join(scratch(t), 'password')
  for (const password of ['first', 'sécond']) {
    writeFileSync(password_file, `${password}\n`)
    await post(receiver.url, { basic_auth: { username: 'me', password_file } })
    const { authorization = '' } = receiver.requests.at(-1)?.headers ?? {}
    t.is(Buffer.from(authorization.replace('Basic ', ''), 'base64').toString(), `me:${password}`)
  }
})

test('the token is sent in the header, and a missing token file is a readable error', async (t) => {
  const receiver = await startHttpReceiver(t)
  const credentials_file = join(scratch(t), 'token')
  const authorization = { type: 'Bearer', credentials_file }
  await t.throwsAsync(post(receiver.url, { authorization }), { message: /^cannot read .*token/ })
  writeFileSync(credentials_file, 'abc')
  await post(receiver.url, { authorization })
  t.is(receiver.requests[0]?.headers.authorization, 'Bearer abc')
  writeFileSync(credentials_file, 'abc\r\nX-Injected: 1')
  await t.throwsAsync(post(receiver.url, { authorization }), { message: /more than one line/ })
})

test('the server is verified by the configured CA only, and the client authenticates with its certificate', async (t) => {
  const files = makeCertificates(scratch(t))
  const { ca, serverCert, serverKey, clientCert, clientKey } = files
  const receiver = await startHttpReceiver(t, {
    ca: readFileSync(ca),
    cert: readFileSync(serverCert),
    key: readFileSync(serverKey),
    requestCert: true,
    rejectUnauthorized: false,
  })
  let isAuthorized = false
  receiver.replyWith((response) => {
    isAuthorized = (response.socket as TLSSocket).authorized
    response.end()
  })
  const verify = { insecure_skip_verify: false }
  await t.throwsAsync(post(receiver.url), { message: /self.signed|unable to verify/ })
  t.true(await post(receiver.url, { tls_config: { ...verify, ca_file: ca } }))
  t.false(isAuthorized)
  const client = { cert_file: clientCert, key_file: clientKey }
  t.true(await post(receiver.url, { tls_config: { ...verify, ca_file: ca, ...client } }))
  t.true(isAuthorized)
  const other = { ...verify, ca_file: ca, server_name: 'other.example' }
  await t.throwsAsync(post(receiver.url, { tls_config: other }), { message: /altnames/ })
  t.true(await post(receiver.url, { tls_config: { insecure_skip_verify: true } }))
})

test('a request without a response times out', async (t) => {
  const receiver = await startHttpReceiver(t)
  receiver.replyWith(() => undefined)
  await t.throwsAsync(post(receiver.url, { timeout: 100 }), { message: /^no answer within 0.1 s/ })
})

test('an endless response body does not block', async (t) => {
  const receiver = await startHttpReceiver(t)
  receiver.replyWith((response) => {
    const more = () => response.write('x'.repeat(65_536), () => setImmediate(more))
    response.on('error', () => undefined)
    more()
  })
  t.true(await post(receiver.url))
})
