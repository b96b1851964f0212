import test from 'ava'
import fc from 'fast-check'
import { clip, clipArgv, commandLine, detached, printable } from '../../agent/lib/text.ts'

test('characters that could break a line, control a terminal or deceive a reader are escaped', (t) => {
  const table: [string, string][] = [
    ['plain ünïcode 漢字', 'plain ünïcode 漢字'],
    ['a\nb\r\tc', 'a\\nb\\r\\tc'],
    ['\x1b[31mred', '\\x1b[31mred'],
    ['safe\u202Eelif', 'safe\\u{202e}elif'],
    ['\u2028', '\\u{2028}'],
    ['\ud800', '\\u{d800}'],
    ['zero\u200bwidth', 'zero\\u{200b}width'],
  ]
  for (const [text, expected] of table) t.is(printable(text), expected)
})

test('printable text is one line without control characters, for any input', (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => !/[\p{Cc}\u2028\u2029]/u.test(printable(text))),
    ),
  )
})

test('a command line shows where one argument ends and the next begins', (t) => {
  t.is(commandLine(['sh', '-c', 'echo "a b"']), `sh -c 'echo "a b"'`)
  t.is(commandLine(['printf', "it's", '']), `printf 'it'\\''s' ''`)
})

test('clipped text is marked and never gets longer', (t) => {
  t.is(clip('short', 10), 'short')
  t.is(clip('x'.repeat(100), 20), `${'x'.repeat(3)}…[100 characters]`)
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 24, max: 99 }), (text, max) => clip(text, max).length <= max),
  )
  t.is(clipArgv(Array.from({ length: 70 }, () => 'a')).at(-1), '…[6 more arguments]')
  t.true((clipArgv(['x'.repeat(200_000)])[0] ?? '').length <= 1_024)
})

test('a detached substring is the same text', (t) => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => detached(text) === text))
  t.is(detached('lone \ud800'), 'lone \ud800')
})
