import test from 'ava'
import { boundedArgv, boundedText, boundedTexts } from '../../../../agent/sources/docker/client/bounded.ts'

test('short values are unchanged', (t) => {
  t.is(boundedText('a label'), 'a label')
  t.deepEqual(boundedArgv(['sh', '-c', '']), ['sh', '-c', ''])
  t.deepEqual(boundedTexts({ a: 'b', name: 'web', number: 1 }), { a: 'b', name: 'web' })
  t.deepEqual(boundedTexts(null), {})
})

test('a long text is truncated, with its length and a digest that keeps different texts distinct', (t) => {
  const whole = 'x'.repeat(1_048_576)
  const cut = boundedText(whole)
  t.is(cut.length, 4_096)
  t.regex(cut, /^x+…\[1048576 characters, sha256 [0-9a-f]{16}\]$/)
  t.is(boundedText(whole), cut)
  t.not(boundedText(`${whole.slice(1)}y`), cut)
})

test('a long argv keeps the program, counts the rest, and stays distinct from others', (t) => {
  const argv = (last: string) => ['program', ...Array.from({ length: 100_000 }, () => 'argument'), last]
  const cut = boundedArgv(argv('a'))
  t.is(cut[0], 'program')
  t.true(cut.join(' ').length < 9_000)
  t.regex(cut.at(-1) ?? '', /^…\[\d+ more arguments, sha256 [0-9a-f]{16}\]$/)
  t.not(boundedArgv(argv('b')).at(-1), cut.at(-1))
  t.deepEqual(boundedArgv(argv('a')), cut)
})

test('however many and long the labels are, the engine’s attributes and the Compose labels stay', (t) => {
  const many = Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [`a${n}`, 'x'.repeat(n % 5_000)]))
  const kept = boundedTexts({ ...many, 'com.docker.compose.project': 'shop', execID: 'e', exitCode: '0' })
  t.is(kept['com.docker.compose.project'], 'shop')
  t.is(kept['execID'], 'e')
  t.is(kept['exitCode'], '0')
  t.true(JSON.stringify(kept).length < 50_000)
})

test('a label named __proto__ is an ordinary label', (t) => {
  t.true(Object.hasOwn(boundedTexts(JSON.parse('{"__proto__":"x"}')), '__proto__'))
})
