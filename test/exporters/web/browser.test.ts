import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import anyTest, { type ExecutionContext, type TestFn } from 'ava'
import { serveWeb } from '../../../exporters/web/server.ts'
import { openWebConfig } from '../../../exporters/web/watched-web-config.ts'
import { renderStatusPage } from '../../../exporters/web/status-page.ts'
import { openPage, type Page } from '../../support/chromium.ts'
import { until } from '../../support/until.ts'
import { sampleStatus } from './sample-status.ts'
import type { Status } from '../../../exporters/web/status.ts'
import { runbookPages } from '../../../exporters/web/runbook-pages.ts'

// The page in a real Chromium. Screenshots are written to test/screenshots, which git ignores.

const test = anyTest as TestFn<{ page: Page }>
const screenshots = join(import.meta.dirname, '../../screenshots')

test.before(async (t) => {
  t.context.page = await openPage()
  for (const domain of ['Page', 'Network', 'Log', 'Runtime']) await t.context.page.send(`${domain}.enable`)
})

test.after.always(async (t) => {
  await t.context.page?.close()
})

test.serial(
  'the page shows hostile names as text, runs and loads nothing, and violates no policy',
  async (t) => {
    const { page } = t.context
    const { url } = await show(t, sampleStatus())
    t.is(await page.evaluate('document.title'), 'tidewatch on <b>node</b>')
    const text = await page.evaluate<string>('document.body.innerText')
    t.true(text.includes(`<script>alert(1)</script>\\u{202e}"'&`))
    t.true(text.includes(`"><img src=x onerror="document.title='owned'">`))
    t.true(text.includes('{{ 7*7 }}\\n\\x00'))
    t.is(await page.evaluate('document.querySelectorAll("script, img, iframe, svg, object").length'), 0)
    const requested = page
      .events()
      .filter(({ method }) => method === 'Network.requestWillBeSent')
      .map(({ params }) => (params['request'] as { url: string }).url)
      .filter((address) => !address.startsWith('data:'))
    t.deepEqual(requested, [url])
    const messages = page
      .events()
      .filter(({ method }) =>
        [
          'Log.entryAdded',
          'Runtime.exceptionThrown',
          'Runtime.consoleAPICalled',
          'Page.javascriptDialogOpening',
        ].includes(method),
      )
    t.deepEqual(messages, [])
  },
)

test.serial('the security policy blocks scripts that are injected despite escaping', async (t) => {
  const { page } = t.context
  // Simulates an escaping bug.
  const evil =
    '<script>document.title = "owned"</script><img src="https://evil.test/x" onerror="document.title = \'owned\'">'
  await show(t, sampleStatus(), (html) => html.replace('<main>', `<main>${evil}`))
  await until(() =>
    page
      .events()
      .some(
        ({ method, params }) =>
          method === 'Log.entryAdded' && JSON.stringify(params).includes('Content Security Policy'),
      ),
  )
  t.is(await page.evaluate('document.querySelectorAll("script").length'), 1)
  t.is(await page.evaluate('document.title'), 'tidewatch on <b>node</b>')
})

test.serial('the page is styled and fits desktop and phone screens in light and dark mode', async (t) => {
  const { page } = t.context
  await show(t, sampleStatus())
  t.is(await page.evaluate('getComputedStyle(document.querySelector(".cards")).display'), 'grid')
  for (const [width, height] of [
    [1_280, 900],
    [390, 844],
  ] as const) {
    for (const colours of ['light', 'dark']) {
      const size = { width, height, deviceScaleFactor: 1, mobile: width < 500 }
      await page.send('Emulation.setDeviceMetricsOverride', size)
      await page.send('Emulation.setEmulatedMedia', {
        features: [{ name: 'prefers-color-scheme', value: colours }],
      })
      const isTooWide = await page.evaluate('document.documentElement.scrollWidth > window.innerWidth')
      t.false(isTooWide, `${width} ${colours}`)
      const { data } = await page.send<{ data: string }>('Page.captureScreenshot', {
        captureBeyondViewport: true,
      })
      await mkdir(screenshots, { recursive: true })
      await writeFile(join(screenshots, `status-page-${width}-${colours}.png`), data, 'base64')
      t.true(data.length > 10_000)
    }
  }
})

test.serial('evidence opens without JavaScript', async (t) => {
  const { page } = t.context
  await page.send('Emulation.setScriptExecutionDisabled', { value: true })
  await show(t, sampleStatus())
  const visible = () => page.evaluate<boolean>('document.body.innerText.includes("evidence-of-it")')
  t.false(await visible())
  const [x, y] = await page.evaluate<[number, number]>(
    '((row) => { row.scrollIntoView({ block: "center" }); const { x, y } = row.getBoundingClientRect(); return [x + 20, y + 5] })(document.querySelectorAll("summary")[1])',
  )
  for (const type of ['mousePressed', 'mouseReleased']) {
    await page.send('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: 1 })
  }
  await until(visible)
  await page.send('Emulation.setScriptExecutionDisabled', { value: false })
  t.pass()
})

async function show(t: ExecutionContext<{ page: Page }>, status: Status, change = (html: string) => html) {
  const { page } = t.context
  const web = await serveWeb({
    addresses: ['127.0.0.1:0'],
    config: openWebConfig,
    expose: () => Promise.reject(new Error('not asked for')),
    isReady: () => true,
    runbooks: runbookPages(),
    statusPage: (withEvidence) => Promise.resolve(change(renderStatusPage(status, withEvidence))),
  })
  t.teardown(web.close)
  const url = `${web.urls[0]}/`
  await page.send('Page.navigate', { url })
  await until(async () => (await page.evaluate('location.href + document.readyState')) === `${url}complete`)
  return { url }
}
