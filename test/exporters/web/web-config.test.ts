import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import test, { type ExecutionContext } from 'ava'
import { serveWeb } from '../../../exporters/web/server.ts'
import { watchWebConfig } from '../../../exporters/web/watched-web-config.ts'
import { loadWebConfig } from '../../../exporters/web/web-config.ts'
import { makeCertificates } from '../../support/certificates.ts'
import { until } from '../../support/until.ts'
import { runbookPages } from '../../../exporters/web/runbook-pages.ts'

// The output of `htpasswd -nB` with the minimum number of rounds for the password `test`.
const hashOfTest = '$2b$04$abcdefghijklmnopqrstuuoD8yw7MmybLKVooaTGGZAt3HXugv2.a'

function scratch(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'tidewatch-test-web-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

function fileOf(t: ExecutionContext, text: string, directory = scratch(t)): string {
  const file = join(directory, 'web.yml')
  writeFileSync(file, text)
  return file
}

/** A server with a fast clock, so that every connection checks the files. */
async function serve(t: ExecutionContext, file: string) {
  const reloads: string[] = []
  let clock = 0
  const web = await serveWeb({
    addresses: ['127.0.0.1:0'],
    config: watchWebConfig({
      file,
      onReload: (successful, message) => reloads.push(`${successful}: ${message}`),
      now: () => (clock += 1_000),
    }),
    expose: () => Promise.resolve({ contentType: 'text/plain', body: 'a 1\n' }),
    isReady: () => true,
    runbooks: runbookPages(),
    statusPage: () => Promise.resolve('page'),
  })
  t.teardown(web.close)
  return { url: web.urls[0] ?? '', reloads }
}

const basic = (user: string, password: string) => ({
  headers: { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` },
})

/** The status of the response, and the serial number of the server's certificate. */
function get(url: string, options: RequestOptions): Promise<{ status: number | undefined; serial: string }> {
  return new Promise((resolve, reject) => {
    httpsRequest(url, { ...options, agent: false }, (response) => {
      const { serialNumber } = (response.socket as TLSSocket).getPeerCertificate()
      response.resume().once('end', () => resolve({ status: response.statusCode, serial: serialNumber }))
    })
      .once('error', reject)
      .end()
  })
}

test('the format of Prometheus’ exporter-toolkit is accepted, and promtool accepts the configuration of the tests', (t) => {
  const directory = scratch(t)
  makeCertificates(directory)
  const file = fileOf(
    t,
    `tls_server_config:
  cert_file: server.pem
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  min_version: TLS12
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]
  curve_preferences: [X25519, CurveP256]
http_server_config:
  http2: true
  headers: { X-Frame-Options: deny }
basic_auth_users:
  alice: ${hashOfTest}
`,
    directory,
  )
  execFileSync('promtool', ['check', 'web-config', file], { stdio: 'pipe' })
  const { tls, users, headers, files } = loadWebConfig(file)
  t.is(tls?.context.ciphers, 'ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305')
  t.is(tls?.context.ecdhCurve, 'X25519:P-256')
  t.deepEqual([...users.keys()], ['alice'])
  t.deepEqual(headers, { 'X-Frame-Options': 'deny' })
  t.is(files.length, 4)
})

for (const [what, text, message] of [
  ['an unknown key', 'tls_config: {}\n', /web\.yml:1:1 tls_config: unknown key/],
  ['a password instead of its hash', 'basic_auth_users:\n  me: secret\n', /:2:3 .*expected a bcrypt hash/],
  ['a certificate without a key', 'tls_server_config: { cert: x }\n', /key or key_file is required/],
  [
    'an invalid certificate',
    'tls_server_config: { cert: x, key: y }\n',
    /certificate and key do not match or are invalid/,
  ],
  ['a missing file', 'tls_server_config: { cert_file: no.pem, key: y }\n', /cannot read .*no\.pem/],
  ['invalid YAML', 'a: [', /web\.yml:1:/],
  [
    'an unknown cipher',
    'tls_server_config: { cipher_suites: [ROT13] }',
    /does not support the cipher suite ROT13/,
  ],
] as const) {
  test(`${what} is a precise error`, (t) => {
    t.throws(() => loadWebConfig(fileOf(t, text)), { message })
  })
}

test('every path requires the password, and a wrong one is rejected', async (t) => {
  const { url } = await serve(t, fileOf(t, `basic_auth_users: { alice: "${hashOfTest}" }\n`))
  for (const path of ['/', '/metrics', '/-/healthy', '/none']) t.is((await fetch(url + path)).status, 401)
  t.is((await fetch(`${url}/metrics`, basic('alice', 'wrong'))).status, 401)
  t.is((await fetch(`${url}/metrics`, basic('bob', 'test'))).status, 401)
  t.is((await fetch(`${url}/metrics`, basic('alice', 'test\0x'))).status, 401)
  const right = await fetch(`${url}/metrics`, basic('alice', 'test'))
  t.is(right.status, 200)
  t.is(await right.text(), 'a 1\n')
})

test('a user removed from the file loses access, and an invalid file changes nothing', async (t) => {
  const file = fileOf(t, `basic_auth_users: { alice: "${hashOfTest}" }\n`)
  const { url, reloads } = await serve(t, file)
  const statusOf = async (user: string) => {
    const { status } = await fetch(url, basic(user, 'test'))
    return status
  }
  t.is(await statusOf('alice'), 200)
  writeFileSync(file, 'basic_auth_users: [')
  await until(async () => (await statusOf('alice')) === 200 && reloads.length === 1)
  t.regex(reloads[0] ?? '', /^false: .*the previous settings stay active/)
  writeFileSync(file, `basic_auth_users: { bob: "${hashOfTest}" }\n`)
  await until(async () => (await statusOf('alice')) === 401)
  t.is(await statusOf('bob'), 200)
})

test('the next connection gets a renewed certificate', async (t) => {
  const [first, second] = [scratch(t), scratch(t)]
  const files = makeCertificates(first)
  const renewed = makeCertificates(second)
  const { url } = await serve(
    t,
    fileOf(t, 'tls_server_config: { cert_file: server.pem, key_file: server.key }\n', first),
  )
  const ca = [readFileSync(files.ca), readFileSync(renewed.ca)]
  const before = await get(url, { ca })
  t.is(before.status, 200)
  for (const name of ['serverKey', 'serverCert'] as const) {
    copyFileSync(renewed[name], `${files[name]}.new`)
    renameSync(`${files[name]}.new`, files[name])
  }
  await until(async () => (await get(url, { ca })).serial !== before.serial)
})

test('only a client with a certificate of the right CA and name has access', async (t) => {
  const [directory, elsewhere] = [scratch(t), scratch(t)]
  const files = makeCertificates(directory)
  const others = makeCertificates(elsewhere)
  const { url } = await serve(
    t,
    fileOf(
      t,
      `tls_server_config:
  cert_file: server.pem
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  client_allowed_sans: [scraper.example]
`,
      directory,
    ),
  )
  const ca = readFileSync(files.ca)
  const pair = ({ clientCert, clientKey }: typeof files) => ({
    cert: readFileSync(clientCert),
    key: readFileSync(clientKey),
  })
  t.is((await get(url, { ca, ...pair(files) })).status, 200)
  await t.throwsAsync(get(url, { ca }))
  await t.throwsAsync(get(url, { ca, ...pair(others) }))
  const server = { cert: readFileSync(files.serverCert), key: readFileSync(files.serverKey) }
  await t.throwsAsync(get(url, { ca, ...server }))
})
