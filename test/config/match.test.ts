import test from 'ava'
import fc from 'fast-check'
import { fitsPattern, isMatch } from '../../agent/config/match.ts'
import { sampleContainer } from '../support/samples.ts'

test('patterns', (t) => {
  const table: [string, string, boolean][] = [
    ['postgres:*', 'postgres:16', true],
    ['postgres:*', 'postgres', false],
    ['*/postgres:*', 'registry.example:5000/postgres:16', true],
    ['postgres:16', 'postgres:16.1', false],
    ['web-?', 'web-1', true],
    ['web-?', 'web-10', false],
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['a*b*c', 'aXbYbZc', true],
    ['a*b*c', 'aXbY', false],
    ['a.c', 'abc', false],
    ['[a]', 'a', false],
  ]
  for (const [pattern, text, expected] of table)
    t.is(fitsPattern(pattern, text), expected, `${pattern} ${text}`)
})

test('a pattern matches the same texts as an equivalent regular expression', (t) => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 8 })
  const text = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 10 })
  t.notThrows(() =>
    fc.assert(
      fc.property(letters, text, (pattern, given) => {
        const expression = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`)
        return fitsPattern(pattern, given) === expression.test(given)
      }),
      { numRuns: 2_000 },
    ),
  )
})

test('a pattern with many stars ends quickly', (t) => {
  t.false(fitsPattern(`${'*a'.repeat(50)}b`, 'a'.repeat(4_000)))
})

test('every given pattern must match', (t) => {
  const container = sampleContainer({ labels: { team: 'db-1', empty: '' } })
  const table: [Parameters<typeof isMatch>[0], boolean][] = [
    [{ image: 'nginx:*' }, true],
    [{ image: 'nginx:*', name: 'web-*' }, true],
    [{ image: 'nginx:*', name: 'db-*' }, false],
    [{ label: 'team' }, true],
    [{ label: 'team=db-*' }, true],
    [{ label: 'team=web-*' }, false],
    [{ label: 'empty=' }, true],
    [{ label: 'nope' }, false],
    [{ label: 'constructor' }, false],
  ]
  for (const [match, expected] of table) t.is(isMatch(match, container), expected, JSON.stringify(match))
})
