import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import test from 'ava'
import { valueAfter } from '../../../agent/sources/breakout-files/sysctls.ts'
import { corePattern, withCorePattern } from '../../support/core-pattern.ts'

const rows: [what: string, before: string, written: string, position: number, after: string][] = [
  ['a whole line', 'core', '|/bin/x %p\n', 0, '|/bin/x %p'],
  ['a text without a line break', 'core', 'core.%p', 0, 'core.%p'],
  ['two lines', 'core', 'a\nb', 0, 'a'],
  ['a text with a NUL', 'core', 'a\0b', 0, 'a'],
  ['nothing', 'core', '\n', 0, ''],
  ['a text at an offset', 'core', 'XY\n', 2, 'coXY'],
  ['a text at the end', 'core', '.%p', 4, 'core.%p'],
  ['a text beyond the end', 'core', 'x', 5, 'core'],
  ['too long a text', 'core', 'x'.repeat(300), 0, 'x'.repeat(127)],
]

for (const [what, before, written, position, after] of rows) {
  test(`a write of ${what} leaves ${after.slice(0, 12) || 'nothing'}`, (t) => {
    t.is(valueAfter(before, Buffer.from(written), position, 128), after)
  })
}

test('the kernel handles writes as `valueAfter` predicts', async (t) => {
  await withCorePattern(() => {
    for (const [what, before, written, position, after] of rows) {
      writeFileSync(corePattern, before)
      const fd = openSync(corePattern, 'r+')
      writeSync(fd, Buffer.from(written), 0, undefined, position)
      closeSync(fd)
      t.is(readFileSync(corePattern, 'utf8').replace(/\n$/, ''), after, what)
    }
  })
})
