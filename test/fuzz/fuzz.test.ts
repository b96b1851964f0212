import { once } from 'node:events'
import { connect } from 'node:net'
import test from 'ava'
import fc from 'fast-check'
import { serveWeb } from '../../exporters/web/server.ts'
import { openWebConfig } from '../../exporters/web/watched-web-config.ts'
import { properties } from './properties.ts'
import { runbookPages } from '../../exporters/web/runbook-pages.ts'

for (const { title, runs, property } of properties) {
  test(title, async (t) => {
    await fc.assert(property, { numRuns: runs })
    t.pass()
  })
}

test('a web server that receives noise continues to serve', async (t) => {
  const web = await serveWeb({
    addresses: ['127.0.0.1:0'],
    config: openWebConfig,
    expose: () => Promise.resolve({ contentType: 'text/plain', body: 'a 1\n' }),
    isReady: () => true,
    runbooks: runbookPages(),
    statusPage: () => Promise.resolve('page'),
  })
  t.teardown(web.close)
  const { port } = new URL(web.urls[0] ?? '')
  const word = fc.constantFrom(
    'GET ',
    'HEAD ',
    '/',
    '/metrics',
    ' HTTP/1.1',
    '\r\n',
    '\n',
    'Host: x',
    'Transfer-Encoding: chunked',
    'Content-Length: 99999999999',
    'Accept: ',
    'authorization: basic ',
    '\0',
    '%00',
    '\u00ff'.repeat(50),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(word, { maxLength: 20 }), async (words) => {
      const socket = connect({ host: '127.0.0.1', port: Number(port) })
      socket.on('error', () => undefined)
      const closed = once(socket, 'close')
      socket.end(words.join(''))
      socket.resume()
      await closed
      t.is((await fetch(`${web.urls[0]}/-/healthy`)).status, 200)
    }),
    { numRuns: 60 },
  )
})
