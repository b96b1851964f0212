import test from 'ava'
import { formatBytes, formatPercent } from '../../agent/lib/format.ts'

const sizes: [bytes: number, text: string][] = [
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [9.94 * 1024, '9.9 KiB'],
  [9.96 * 1024, '10 KiB'],
  [1023.6 * 1024, '1.0 MiB'],
  [477 * 2 ** 20, '477 MiB'],
  [1.5 * 2 ** 30, '1.5 GiB'],
  [5000 * 2 ** 40, '5000 TiB'],
]

for (const [bytes, text] of sizes) {
  test(`${bytes} bytes are ${text}`, (t) => {
    t.is(formatBytes(bytes), text)
  })
}

test('ratios are formatted as whole percents, also above 100', (t) => {
  t.is(formatPercent(0.934), '93 %')
  t.is(formatPercent(1.7), '170 %')
})
