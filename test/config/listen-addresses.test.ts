import test from 'ava'
import { isOnlyIPv6, listenConflict, parseListenAddress } from '../../agent/config/listen-addresses.ts'
import { formatProblem } from '../../agent/config/load.ts'
import { configuration } from '../../agent/daemon/configuration.ts'

const compatible: string[][] = [
  ['0.0.0.0:1', '[::]:1'],
  ['127.0.0.1:1', '[::]:1'],
  ['127.0.0.1:1', ':1'],
  ['0.0.0.0:1', ':1'],
  ['127.0.0.1:1', '[::1]:1'],
  ['127.0.0.1:1', '127.0.0.2:1'],
  ['0.0.0.0:1', '[::1]:1'],
  ['localhost:1', '[::1]:2'],
  ['localhost:1', '192.0.2.1:1'],
  ['127.0.0.1:0', '127.0.0.1:0'],
  ['a.example:1', 'b.example:1'],
]

const conflicting: string[][] = [
  ['127.0.0.1:1', '127.0.0.1:1'],
  ['[::1]:1', '[0:0::1]:1'],
  ['a.example:1', 'A.example:1'],
  ['localhost:1', '[::1]:1'],
  ['localhost:1', '127.0.0.1:1'],
  ['localhost:1', ':1'],
  ['localhost:1', '0.0.0.0:1'],
  ['0.0.0.0:1', '192.0.2.1:1'],
  [':1', '[::]:1'],
  ['[::1]:1', '[::]:1'],
]

for (const pair of compatible) {
  test(`${pair.join(' and ')} can be listed together, in any order`, (t) => {
    t.is(listenConflict(pair), null)
    t.is(listenConflict(pair.toReversed()), null)
  })
}

for (const pair of conflicting) {
  test(`${pair.join(' and ')} are an error, in any order`, (t) => {
    for (const [earlier = '', later = ''] of [pair, pair.toReversed()]) {
      const conflict = listenConflict(['192.0.2.9:9', earlier, later])
      t.is(conflict?.index, 2)
      const start = `${later} `
      t.true(conflict?.message.startsWith(start))
      t.true(conflict?.message.endsWith(` ${earlier}, which is also listed; keep one of them`))
    }
  })
}

for (const [address, others, expected] of [
  ['[::]:1', ['0.0.0.0:1'], true],
  [':1', ['127.0.0.1:1'], true],
  ['[::]:1', ['0.0.0.0:2'], false],
  ['[::]:1', [], false],
  [':1', ['[::1]:2'], false],
  ['[::1]:1', ['0.0.0.0:1'], false],
] as const) {
  test(`${address} serves ${expected ? 'only IPv6' : 'all it can'} next to ${others.join(' ') || 'nothing'}`, (t) => {
    const all = [address, ...others].map(parseListenAddress)
    t.is(isOnlyIPv6(parseListenAddress(address), all), expected)
  })
}

test('addresses that conflict are one error of the configuration, at the later one', (t) => {
  const parsed = configuration.parse('web:\n  listen_addresses:\n    - localhost:1\n    - "[::1]:1"\n')
  const problems = 'problems' in parsed ? parsed.problems.map((one) => formatProblem('t.yml', one)) : []
  t.deepEqual(problems, [
    't.yml:4:7 web.listen_addresses[1]: [::1]:1 overlaps with localhost:1, which is also listed; keep one of them',
  ])
})
