import test from 'ava'
import * as fc from 'fast-check'
import { createLineSplitter } from '../../../../agent/sources/docker/events/lines.ts'

test('lines are complete, however their bytes are split into chunks', (t) => {
  const line = fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => text.replaceAll('\n', ' '))
  fc.assert(
    fc.property(fc.array(line, { maxLength: 20 }), fc.array(fc.nat(300)), (lines, cuts) => {
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''))
      const edges = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].toSorted(
        (a, b) => a - b,
      )
      const chunks = edges.slice(1).map((end, index) => bytes.subarray(edges[index], end))
      t.deepEqual(
        split(chunks).lines,
        lines.filter((text) => text !== '').map((text) => Buffer.from(text).toString()),
      )
    }),
  )
})

test('a line of 200 KB in chunks of 64 KiB is one line', (t) => {
  const line = 'ä'.repeat(100_000)
  const bytes = Buffer.from(`${line}\nnext\n`)
  const chunks = [0, 1, 2, 3].map((index) => bytes.subarray(index * 65_536, (index + 1) * 65_536))
  t.deepEqual(split(chunks).lines, [line, 'next'])
})

test('a line over the limit is skipped to its end and counted', (t) => {
  const chunks = ['short\n', '12345', '67890', '12345', '\nafter\n', '12345678901\n', 'x\n'].map((text) =>
    Buffer.from(text),
  )
  t.deepEqual(split(chunks, 10), { lines: ['short', 'after', 'x'], tooLong: 2 })
})

test('a line of exactly the limit is passed on, and an unfinished one is not', (t) => {
  t.deepEqual(split([Buffer.from('1234567890\nrest')], 10), { lines: ['1234567890'], tooLong: 0 })
})

test('a long line in tiny chunks takes linear time', (t) => {
  const chunk = Buffer.alloc(16, 'x')
  const start = performance.now()
  const chunks = Array.from({ length: 250_000 }, () => chunk)
  t.is(split([...chunks, Buffer.from('\n')]).lines[0]?.length, 4_000_000)
  t.true(performance.now() - start < 5_000)
})

function split(chunks: readonly Buffer[], maxBytes?: number) {
  const lines: string[] = []
  let tooLong = 0
  const push = createLineSplitter(
    { onLine: (line) => lines.push(line), onTooLong: () => (tooLong += 1) },
    maxBytes,
  )
  for (const chunk of chunks) push(chunk)
  return { lines, tooLong }
}
