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

const ask = async (url: string, config: Partial<HttpClientConfig> = {}, now = Date.now) =>
  await poster(url, { timeout: 5_000, ...config })('{}', {}, { now, signal: new AbortController().signal })

const post = async (url: string, config: Partial<HttpClientConfig> = {}) =>
  (await ask(url, config)).outcome === 'accepted'

for (const [code, outcome, status] of [
  [200, 'accepted', 'HTTP 200 OK'],
  [204, 'accepted', 'HTTP 204 No Content'],
  [400, 'rejected', 'HTTP 400 Bad Request'],
  [422, 'rejected', 'HTTP 422 Unprocessable Entity'],
  [413, 'rejected', 'HTTP 413 Payload Too Large'],
  [401, 'refused', 'HTTP 401 Unauthorized'],
  [404, 'refused', 'HTTP 404 Not Found'],
  [408, 'refused', 'HTTP 408 Request Timeout'],
  [429, 'refused', 'HTTP 429 Too Many Requests'],
  [302, 'refused', 'HTTP 302 Found'],
  [500, 'refused', 'HTTP 500 Internal Server Error'],
  [503, 'refused', 'HTTP 503 Service Unavailable'],
] as const) {
  test(`a response with status ${code} means ${outcome}`, async (t) => {
    const receiver = await startHttpReceiver(t)
    receiver.replyWith((response) => response.writeHead(code).end())
    t.like(await ask(receiver.url), { outcome, status })
  })
}

test('the clock of the receiver is compared by the Date header, also of refusals', async (t) => {
  const receiver = await startHttpReceiver(t)
  receiver.replyWith((response) => response.writeHead(503).end())
  for (const skewMs of [-360_000, 0, 360_000]) {
    const { clockSkewMs } = await ask(receiver.url, {}, () => Date.now() - skewMs)
    t.true(Math.abs((clockSkewMs ?? Infinity) - skewMs) < 2_000, `${clockSkewMs}`)
  }
  for (const date of [undefined, 'soon']) {
    receiver.replyWith((response) => {
      response.sendDate = false
      if (date !== undefined) response.setHeader('Date', date)
      response.end()
    })
    t.is((await ask(receiver.url)).clockSkewMs, null)
  }
})

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
