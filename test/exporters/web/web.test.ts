import { request } from 'node:http'
import test, { type ExecutionContext } from 'ava'
import { serveWeb, type WebOptions } from '../../../exporters/web/server.ts'
import { renderStatusPage, type Status } from '../../../exporters/web/status-page.ts'
import { watchWebConfig } from '../../../exporters/web/watched-web-config.ts'
import { freePort } from '../../support/processes.ts'
import { sampleFinding } from '../../support/samples.ts'

async function serve(t: ExecutionContext, options: Partial<WebOptions> = {}) {
  const web = await serveWeb({
    addresses: ['127.0.0.1:0'],
    config: watchWebConfig({ file: undefined, onReload: () => undefined, now: Date.now }),
    expose: (accept) => Promise.resolve({ contentType: `text/plain; ${accept}`, body: 'a 1\n' }),
    isReady: () => true,
    statusPage: (withFindings) => (withFindings ? 'with findings' : 'without'),
    ...options,
  })
  t.teardown(web.close)
  return web
}

const status: Status = {
  host: '<b>node</b>',
  version: '1.0.0',
  startedAt: 0,
  now: 3_720_000,
  sources: [
    { name: 'docker-events', status: undefined },
    {
      name: 'processes',
      status: {
        kind: 'source-status',
        time: 0,
        source: 'processes',
        up: true,
        mode: 'procfs',
        best: false,
        reason: 'no <BTF>',
      },
    },
  ],
  containersRunning: 1,
  receivers: [{ name: 'alertmanager/<x>', waiting: 3 }],
  storeMode: 'file',
  firing: [],
  latest: [sampleFinding({ summary: `<script>alert(1)</script>\u202E"'&` })],
}

test('metrics, health and the page are where Prometheus’ own servers have them', async (t) => {
  const { urls } = await serve(t)
  for (const [path, code, body] of [
    ['/metrics', 200, 'a 1\n'],
    ['/-/healthy', 200, 'tidewatch is healthy.\n'],
    ['/-/ready', 200, 'tidewatch is ready.\n'],
    ['/', 200, 'with findings'],
    ['/?x=1', 200, 'with findings'],
    ['/etc/passwd', 404, 'not found; there are / /metrics /-/healthy /-/ready\n'],
  ] as const) {
    const response = await fetch(`${urls[0]}${path}`)
    t.is(response.status, code, path)
    t.is(await response.text(), body, path)
  }
})

test('a daemon whose sources are not attached yet is healthy and not ready', async (t) => {
  const { urls } = await serve(t, { isReady: () => false })
  t.is((await fetch(`${urls[0]}/-/ready`)).status, 503)
  t.is((await fetch(`${urls[0]}/-/healthy`)).status, 200)
})

test('nothing but reading is allowed, and a scrape that fails is one failed scrape', async (t) => {
  const { urls } = await serve(t, { expose: () => Promise.reject(new Error('broken')) })
  const post = await fetch(`${urls[0]}/metrics`, { method: 'POST', body: 'x' })
  t.is(post.status, 405)
  t.is(post.headers.get('allow'), 'GET, HEAD')
  const head = await fetch(`${urls[0]}/-/healthy`, { method: 'HEAD' })
  t.is(head.headers.get('content-length'), '22')
  t.is((await fetch(`${urls[0]}/metrics`)).status, 500)
  t.is((await fetch(`${urls[0]}/-/healthy`)).status, 200)
})

test('the page may load and run nothing', async (t) => {
  const { urls } = await serve(t)
  const headers = (await fetch(`${urls[0]}/`)).headers
  t.regex(headers.get('content-security-policy') ?? '', /^default-src 'none'; style-src 'sha256-[^']+';/)
  t.is(headers.get('x-content-type-options'), 'nosniff')
})

test('an address that cannot be had is one clear sentence', async (t) => {
  const port = await freePort()
  await serve(t, { addresses: [`127.0.0.1:${port}`] })
  await t.throwsAsync(serve(t, { addresses: ['127.0.0.1:0', `127.0.0.1:${port}`] }), {
    message: new RegExp(`^cannot listen on 127.0.0.1:${port}: something else listens there`),
  })
  await t.throwsAsync(serve(t, { addresses: ['192.0.2.1:0'] }), { message: /this host has no such address/ })
})

test('several addresses are served, IPv6 among them', async (t) => {
  const { urls } = await serve(t, { addresses: ['127.0.0.1:0', '[::1]:0'] })
  t.regex(urls.join(' '), /^http:\/\/127\.0\.0\.1:\d+ http:\/\/\[::1\]:\d+$/)
  for (const url of urls) t.is((await fetch(`${url}/-/healthy`)).status, 200)
})

test('hostile text stays text on the page', (t) => {
  const page = renderStatusPage(status, true)
  t.notRegex(page, /<script|<b>node|<BTF>|<x>|\u202E/)
  t.regex(page, /&lt;script&gt;alert\(1\)&lt;\/script&gt;\\u\{202e\}&quot;&#39;&amp;/)
  t.regex(page, /up 1 h 2 min, 1 running container,/)
  t.regex(page, /<b class="degraded">degraded<\/b>/)
  t.regex(page, /<b class="starting">starting<\/b>/)
})

test('readers on other hosts get no findings', (t) => {
  t.notRegex(renderStatusPage(status, false), /script|interactive-shell/)
})

test('garbage on the wire ends that connection only', async (t) => {
  const { urls } = await serve(t)
  const { port } = new URL(urls[0] ?? '')
  await new Promise<void>((resolve) => {
    const broken = request({ port, method: 'GET', path: '/', headers: { 'x-long': 'y'.repeat(100_000) } })
    broken.on('error', () => resolve())
    broken.on('response', (response) => {
      t.is(response.statusCode, 431)
      resolve()
    })
    broken.end()
  })
  t.is((await fetch(`${urls[0]}/-/healthy`)).status, 200)
})
