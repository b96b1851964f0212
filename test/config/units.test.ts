import test from 'ava'
import { duration, parseDuration, parseSize, size } from '../../agent/config/units.ts'

test('durations are parsed in Prometheus’ format', (t) => {
  const table: [string, number | undefined][] = [
    ['30s', 30_000],
    ['5m', 300_000],
    ['5ms', 5],
    ['1h30m', 5_400_000],
    ['30d', 2_592_000_000],
    ['0s', 0],
    ['', undefined],
    ['30', undefined],
    ['1m1h', undefined],
    ['-1s', undefined],
    ['1.5h', undefined],
    [' 5s', undefined],
  ]
  for (const [text, expected] of table) t.is(parseDuration(text), expected, JSON.stringify(text))
})

test('sizes are parsed with binary units only', (t) => {
  const table: [string, number | undefined][] = [
    ['256MiB', 268_435_456],
    ['1.5KiB', 1_536],
    ['7B', 7],
    ['1MB', undefined],
    ['12', undefined],
  ]
  for (const [text, expected] of table) t.is(parseSize(text), expected, text)
})

test('a duration outside its bounds is rejected with the bounds', (t) => {
  const schema = duration('5s', { min: '1s', max: '1m' })
  t.is(schema.parse(undefined), 5_000)
  t.is(schema.parse('1m'), 60_000)
  t.regex(schema.safeParse('2m').error?.message ?? '', /between 1s and 1m/)
  t.regex(size('1KiB').safeParse('much').error?.message ?? '', /a size such as/)
})
