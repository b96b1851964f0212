import { request } from 'node:http'
import test, { type ExecutionContext } from 'ava'
import { serveWeb, type WebOptions } from '../../../exporters/web/server.ts'
import { renderStatusPage } from '../../../exporters/web/status-page.ts'
import { openWebConfig } from '../../../exporters/web/watched-web-config.ts'
import { freePort } from '../../support/processes.ts'
import { sampleFinding } from '../../support/samples.ts'
import { sampleStatus } from './sample-status.ts'

async function serve(t: ExecutionContext, options: Partial<WebOptions> = {}) {
  const web = await serveWeb({
    addresses: ['127.0.0.1:0'],
    config: openWebConfig,
    expose: (accept) => Promise.resolve({ contentType: `text/plain; ${accept}`, body: 'a 1\n' }),
    isReady: () => true,
    statusPage: (withEvidence) => Promise.resolve(withEvidence ? 'with evidence' : 'without'),
    ...options,
  })
  t.teardown(web.close)
  return web
}

test('metrics, health and the page are where Prometheus’ own servers have them', async (t) => {
  const { urls } = await serve(t)
  for (const [path, code, body] of [
    ['/metrics', 200, 'a 1\n'],
    ['/-/healthy', 200, 'tidewatch is healthy.\n'],
    ['/-/ready', 200, 'tidewatch is ready.\n'],
    ['/', 200, 'with evidence'],
    ['/?x=1', 200, 'with evidence'],
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
  const page = renderStatusPage(sampleStatus(), true)
  t.notRegex(page, /<script|<b>node|<BTF>|<x>|\u202E|onerror="/)
  t.regex(page, /&lt;script&gt;alert\(1\)&lt;\/script&gt;\\u\{202e\}&quot;&#39;&amp;/)
  t.regex(page, /up 1 h 2 min/)
  t.regex(page, /<span class="pill degraded">degraded<\/span>/)
  t.regex(page, /<span class="pill starting">starting<\/span>/)
})

test('counters, events and losses stand on the page', (t) => {
  const page = renderStatusPage(sampleStatus(), true).replace(/\s+/g, ' ')
  t.regex(page, />2<\/b ?><span>critical since start</)
  t.regex(page, />1,234<\/b ?><span>warnings since start</)
  t.regex(page, /class="number" title="events">98,765<\/td> ?<td class="number" title="lost">17</)
})

test('readers on other hosts get what the rules mean, and no evidence', (t) => {
  const page = renderStatusPage(sampleStatus(), false)
  t.regex(page, /means interactive-shell/)
  t.notRegex(page, /alert\(1\)|evidence-of-it|<details/)
  t.regex(renderStatusPage(sampleStatus(), true), /evidence-of-it/)
})

test('evidence on the page is bounded, whatever a container says', (t) => {
  const huge = Object.fromEntries(
    Array.from({ length: 500 }, (_, index) => [`key_${index}`, '<'.repeat(9_999)]),
  )
  const latest = Array.from({ length: 50 }, () => sampleFinding({ evidence: huge }))
  t.true(renderStatusPage({ ...sampleStatus(), latest }, true).length < 3_000_000)
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
