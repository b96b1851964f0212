import { gunzipSync } from 'node:zlib'
import test from 'ava'
import { acceptsGzip, scrapes, ScrapeTimeout } from '../../../exporters/web/scrape.ts'

function counting() {
  const asked: string[] = []
  const release: (() => void)[] = []
  const expose = async (accept: string) => {
    asked.push(accept)
    await new Promise<void>((resolve) => release.push(resolve))
    return { contentType: 'text/plain', body: `scrape ${asked.length}\n` }
  }
  return { asked, release: () => release.splice(0).forEach((go) => go()), scrape: scrapes(expose) }
}

test('concurrent scrapes are rendered once per format', async (t) => {
  const { asked, release, scrape } = counting()
  const accept = 'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2'
  const pages = [scrape({}), scrape({ accept: 'text/html' }), scrape({ accept }), scrape({ accept })]
  release()
  const bodies = (await Promise.all(pages)).map(({ body }) => body.toString())
  t.deepEqual(asked, ['text/plain', 'application/openmetrics-text'])
  t.deepEqual(new Set(bodies).size, 1)
  const next = scrape({})
  release()
  t.is((await next).body.toString(), 'scrape 3\n')
})

test('a client that accepts gzip gets the same text compressed', async (t) => {
  const { release, scrape } = counting()
  const page = scrape({ 'accept-encoding': 'gzip' })
  release()
  const { encoding, body } = await page
  t.is(encoding, 'gzip')
  t.is(gunzipSync(body).toString(), 'scrape 1\n')
})

test('a scrape that takes too long fails before the scraper times out', async (t) => {
  const { scrape } = counting()
  const startedAt = Date.now()
  await t.throwsAsync(scrape({ 'x-prometheus-scrape-timeout-seconds': '0.2' }), { instanceOf: ScrapeTimeout })
  t.true(Date.now() - startedAt >= 90)
})

for (const [header, accepted] of [
  ['', false],
  ['gzip', true],
  ['deflate, GZIP;q=0.5', true],
  ['gzip;q=0', false],
  ['gzip;q=0, *', false],
  ['*', true],
  ['br', false],
  ['xgzip', false],
] as const) {
  test(`accept-encoding "${header}" ${accepted ? 'accepts' : 'does not accept'} gzip`, (t) => {
    t.is(acceptsGzip(header), accepted)
  })
}
