import { request } from 'node:http'
import test, { type ExecutionContext } from 'ava'
import { listenError, serveWeb, type WebOptions } from '../../../exporters/web/server.ts'
import { renderStatusPage } from '../../../exporters/web/status-page.ts'
import { openWebConfig } from '../../../exporters/web/watched-web-config.ts'
import { freePort } from '../../support/processes.ts'
import { sampleFinding } from '../../support/samples.ts'
import { sampleStatus } from './sample-status.ts'
import { runbookPages } from '../../../exporters/web/runbook-pages.ts'

async function serve(t: ExecutionContext, options: Partial<WebOptions> = {}) {
  const web = await serveWeb({
    addresses: ['127.0.0.1:0'],
    config: openWebConfig,
    expose: (accept) => Promise.resolve({ contentType: `text/plain; ${accept}`, body: 'a 1\n' }),
    isReady: () => true,
    runbooks: runbookPages(),
    statusPage: (withEvidence) => Promise.resolve(withEvidence ? 'with evidence' : 'without'),
    ...options,
  })
  t.teardown(web.close)
  return web
}

test('metrics, health and the page have the same paths as in Prometheus’ own servers', async (t) => {
  const { urls } = await serve(t)
  for (const [path, code, body] of [
    ['/metrics', 200, 'a 1\n'],
    ['/-/healthy', 200, 'tidewatch is healthy.\n'],
    ['/-/ready', 200, 'tidewatch is ready.\n'],
    ['/', 200, 'with evidence'],
    ['/?x=1', 200, 'with evidence'],
    ['/etc/passwd', 404, 'not found; available paths: / /metrics /runbooks /-/healthy /-/ready\n'],
  ] as const) {
    const response = await fetch(`${urls[0]}${path}`)
    t.is(response.status, code, path)
    t.is(await response.text(), body, path)
  }
})

test('a daemon whose sources are not attached yet is healthy but not ready', async (t) => {
  const { urls } = await serve(t, { isReady: () => false })
  t.is((await fetch(`${urls[0]}/-/ready`)).status, 503)
  t.is((await fetch(`${urls[0]}/-/healthy`)).status, 200)
})

test('only reading is allowed, and a failed scrape does not affect other requests', async (t) => {
  const { urls } = await serve(t, { expose: () => Promise.reject(new Error('broken')) })
  const post = await fetch(`${urls[0]}/metrics`, { method: 'POST', body: 'x' })
  t.is(post.status, 405)
  t.is(post.headers.get('allow'), 'GET, HEAD')
  const head = await fetch(`${urls[0]}/-/healthy`, { method: 'HEAD' })
  t.is(head.headers.get('content-length'), '22')
  t.is((await fetch(`${urls[0]}/metrics`)).status, 500)
  t.is((await fetch(`${urls[0]}/-/healthy`)).status, 200)
})

test('the page may not load or run anything', async (t) => {
  const { urls } = await serve(t)
  const headers = (await fetch(`${urls[0]}/`)).headers
  t.regex(headers.get('content-security-policy') ?? '', /^default-src 'none'; style-src 'sha256-[^']+';/)
  t.is(headers.get('x-content-type-options'), 'nosniff')
})

test('an unavailable address is one clear error', async (t) => {
  const port = await freePort()
  await serve(t, { addresses: [`127.0.0.1:${port}`] })
  await t.throwsAsync(serve(t, { addresses: ['127.0.0.1:0', `127.0.0.1:${port}`] }), {
    message: new RegExp(`^cannot listen on 127.0.0.1:${port}: address already in use`),
  })
  await t.throwsAsync(serve(t, { addresses: ['192.0.2.1:0'] }), { message: /this host has no such address/ })
})

test('without IPv6 on the host, the error says what to configure', (t) => {
  const error = Object.assign(new Error('listen EAFNOSUPPORT'), { code: 'EAFNOSUPPORT' })
  t.is(
    listenError('[::]:80', error).message,
    'cannot listen on [::]:80: IPv6 is disabled on this host; choose an IPv4 address, such as 0.0.0.0 for all of them',
  )
})

test('several addresses are served, including IPv6', async (t) => {
  const { urls } = await serve(t, { addresses: ['127.0.0.1:0', '[::1]:0'] })
  t.regex(urls.join(' '), /^http:\/\/127\.0\.0\.1:\d+ http:\/\/\[::1\]:\d+$/)
  for (const url of urls) t.is((await fetch(`${url}/-/healthy`)).status, 200)
})

for (const wildcard of ['[::]', '']) {
  for (const isReversed of [false, true]) {
    test(`0.0.0.0 and ${wildcard || 'no host'} with one port serve both families${isReversed ? ', in either order' : ''}`, async (t) => {
      const port = await freePort()
      const addresses = [`0.0.0.0:${port}`, `${wildcard}:${port}`]
      const { urls } = await serve(t, { addresses: isReversed ? addresses.toReversed() : addresses })
      t.deepEqual(urls, [`http://localhost:${port}`])
      for (const host of ['127.0.0.1', '[::1]'])
        t.is((await fetch(`http://${host}:${port}/-/healthy`)).status, 200, host)
    })
  }

  test(`${wildcard || 'no host'} alone serves both families`, async (t) => {
    const port = await freePort()
    const { urls } = await serve(t, { addresses: [`${wildcard}:${port}`] })
    t.deepEqual(urls, [`http://localhost:${port}`])
    for (const host of ['127.0.0.1', '[::1]'])
      t.is((await fetch(`http://${host}:${port}/-/healthy`)).status, 200, host)
  })
}

test('next to one IPv4 address, [::] serves IPv6 only', async (t) => {
  const port = await freePort()
  await serve(t, { addresses: [`[::]:${port}`, `127.0.0.2:${port}`] })
  t.is((await fetch(`http://127.0.0.2:${port}/-/healthy`)).status, 200)
  t.is((await fetch(`http://[::1]:${port}/-/healthy`)).status, 200)
  await t.throwsAsync(fetch(`http://127.0.0.1:${port}/-/healthy`))
})

test('if another process has the IPv4 half of a port, the error names the address', async (t) => {
  const port = await freePort()
  await serve(t, { addresses: [`127.0.0.1:${port}`] })
  await t.throwsAsync(serve(t, { addresses: [`[::]:${port}`, `0.0.0.0:${port}`] }), {
    message: new RegExp(`^cannot listen on 0\\.0\\.0\\.0:${port}: address already in use`),
  })
})

test('hostile text stays text on the page', (t) => {
  const page = renderStatusPage(sampleStatus(), true)
  t.notRegex(page, /<script|<b>node|<BTF>|<x>|\u202E|onerror="/)
  t.regex(page, /&lt;script&gt;alert\(1\)&lt;\/script&gt;\\u\{202e\}&quot;&#39;&amp;/)
  t.regex(page, /up 1 h 2 min/)
  t.regex(page, /<span class="pill degraded">degraded<\/span>/)
  t.regex(page, /<span class="pill starting">starting<\/span>/)
})

test('the page shows counters, events and losses', (t) => {
  const page = renderStatusPage(sampleStatus(), true).replace(/\s+/g, ' ')
  t.regex(page, />2<\/b ?><span>critical since start</)
  t.regex(page, />1,234<\/b ?><span>warnings since start</)
  t.regex(page, /class="number" title="events">98,765<\/td> ?<td class="number" title="lost">17</)
})

test('the page shows how often a finding was repeated, when it ended and why', (t) => {
  const [full, bare] = [true, false].map((withEvidence) =>
    renderStatusPage(sampleStatus(), withEvidence).replace(/\s+/g, ' '),
  )
  t.regex(full ?? '', /<summary>[^<]* <b class="times">×1,234<\/b ?><\/summary/)
  t.regex(full ?? '', /<div class="end">resolved 2026-11-23 18:00:00: ended by &lt;script/)
  t.regex(bare ?? '', /means interactive-shell <b class="times">×1,234</)
  t.regex(bare ?? '', /<div class="end">resolved 2026-11-23 18:00:00<\/div>/)
})

test('remote clients see what the rules mean, but no evidence', (t) => {
  const page = renderStatusPage(sampleStatus(), false)
  t.regex(page, /means interactive-shell/)
  t.notRegex(page, /alert\(1\)|evidence-of-it|<details/)
  t.regex(renderStatusPage(sampleStatus(), true), /evidence-of-it/)
})

test('evidence on the page is bounded, whatever a container controls', (t) => {
  const huge = Object.fromEntries(
    Array.from({ length: 500 }, (_, index) => [`key_${index}`, '<'.repeat(9_999)]),
  )
  const latest = Array.from({ length: 50 }, () => sampleFinding({ evidence: huge }))
  t.true(renderStatusPage({ ...sampleStatus(), latest }, true).length < 3_000_000)
})

test('an invalid request only ends its own connection', async (t) => {
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

test('runbooks are served as pages, listed, and nothing else is read from the disk', async (t) => {
  const { urls } = await serve(t)
  const get = async (path: string) => await fetch(`${urls[0]}${path}`)
  for (const path of ['/runbooks/TidewatchUntrackedExec', '/runbooks/TidewatchUntrackedExec.md']) {
    const page = await get(path)
    t.is(page.status, 200)
    t.regex(page.headers.get('content-type') ?? '', /^text\/html/)
    t.regex(page.headers.get('content-security-policy') ?? '', /default-src 'none'/)
    const text = await page.text()
    t.regex(text, /<h1>TidewatchUntrackedExec<\/h1>/)
    t.regex(text, /<h2>What to do<\/h2>/)
    t.regex(text, /<pre><code/)
  }
  t.regex(await (await get('/runbooks')).text(), /href="\/runbooks\/TidewatchDown"/)
  for (const path of [
    '/runbooks/Nothing',
    '/runbooks/..%2f..%2fREADME',
    '/runbooks/tidewatch_x',
    '/runbooks/a/b',
  ])
    t.is((await get(path)).status, 404, path)
})
