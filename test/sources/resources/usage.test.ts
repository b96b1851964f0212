import test from 'ava'
import { field, limitOf } from '../../../agent/sources/resources/usage.ts'

const stat = 'low 1\noom 2\noom_kill 30\ninactive_file 5\nfile 44\nlast 6'

const fields: [key: string, value: number | null][] = [
  ['low', 1],
  ['oom', 2],
  ['oom_kill', 30],
  ['file', 44],
  ['last', 6],
  ['kill', null],
  ['ow', null],
  ['missing', null],
]

for (const [key, value] of fields) {
  test(`the line ${key} of a file gives ${value}`, (t) => {
    t.is(field(stat, key), value)
  })
}

test('a line without a whole number gives null', (t) => {
  for (const text of ['x', 'x ', 'x -1', 'x 1 2', 'x 1.5', 'x 0x10', `x ${'9'.repeat(21)}`]) {
    t.is(field(text, 'x'), null, text)
  }
})

test('max is no limit, and neither is the greatest number of a 64-bit counter', (t) => {
  t.is(limitOf('memory.max', 'max\n'), null)
  t.is(limitOf('memory.max', '18446744073709551615\n'), null)
  t.is(limitOf('memory.max', '1152921504606846975\n'), null)
  t.is(limitOf('memory.max', '4096\n'), 4_096)
})
