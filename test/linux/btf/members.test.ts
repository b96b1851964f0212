import test from 'ava'
import { BtfError } from '../../../agent/linux/btf/error.ts'
import { memberAt } from '../../../agent/linux/btf/members.ts'
import { readTypeRecords } from '../../../agent/linux/btf/type-records.ts'
import { btfFile, INT, nameIn, sampleFile, STRUCT, TYPEDEF } from './btf-file.ts'

const paths: [path: string, bits: number][] = [
  ['outer.first', 0],
  ['outer.inner', 64],
  ['outer.inner.second', 96],
  ['outer.hidden', 128],
  ['outer.bits', 163],
]

for (const [path, bits] of paths) {
  test(`${path} is at bit ${bits}`, (t) => {
    t.is(memberAt(readTypeRecords(sampleFile()), path).bits, bits)
  })
}

test('of two structs with the same name, the one that has the member is used', (t) => {
  const names = '\0int\0same\0first\0second\0'
  const name = nameIn(names)
  const types = readTypeRecords(
    btfFile(
      [
        [name('int'), INT, 4, 32],
        [name('same'), STRUCT | 1, 4, name('first'), 1, 0],
        [name('same'), STRUCT | 1, 8, name('second'), 1, 32],
      ],
      names,
    ),
  )
  t.is(memberAt(types, 'same.second').bits, 32)
})

test('a missing struct or member is an error that names it', (t) => {
  const types = readTypeRecords(sampleFile())
  for (const path of ['none.first', 'outer.none', 'outer.inner.none'])
    t.throws(() => memberAt(types, path), { instanceOf: BtfError, message: `this kernel has no ${path}` })
})

test('cyclic types are an error', (t) => {
  // 1: typedef of itself; 2: struct with anonymous members of its own type.
  const members = Array.from({ length: 10 }, () => [0, 2, 0])
  const cyclic = readTypeRecords(
    btfFile(
      [
        [0, TYPEDEF, 1],
        [1, STRUCT | 10, 8, ...members.flat()],
        [3, STRUCT | 1, 8, 5, 1, 0],
      ],
      '\0a\0b\0c\0',
    ),
  )
  t.throws(() => memberAt(cyclic, 'a.x'), { instanceOf: BtfError, message: /nested too deeply/ })
  t.throws(() => memberAt(cyclic, 'b.c.x'), { instanceOf: BtfError, message: /form a cycle/ })
})
