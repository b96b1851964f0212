import test from 'ava'
import { publicUrl } from '../../agent/daemon/public-url.ts'

for (const [listening, configured, url] of [
  ['http://127.0.0.1:15736', undefined, 'http://127.0.0.1:15736'],
  ['http://localhost:15736', undefined, 'http://node-7:15736'],
  ['https://localhost:443', undefined, 'https://node-7'],
  ['http://[::1]:15736', undefined, 'http://[::1]:15736'],
  ['http://127.0.0.1:15736', 'https://monitor.example/node-7', 'https://monitor.example/node-7'],
] as const) {
  test(`an endpoint at ${listening}, configured as ${configured ?? 'nothing'}, is reached at ${url}`, (t) => {
    t.is(publicUrl(listening, 'node-7', configured), url)
  })
}
