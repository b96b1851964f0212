import test from 'ava'
import { BtfError } from '../../../agent/linux/btf/error.ts'
import { readTypeRecords } from '../../../agent/linux/btf/type-records.ts'
import { btfFile, INT, sampleFile, STRUCT, TYPEDEF } from './btf-file.ts'

test('structs and enums are indexed by name, and each record by its position', (t) => {
  const { structs, enums, positions, positionOf, nameAt } = readTypeRecords(sampleFile())
  t.deepEqual(
    [...structs],
    [
      ['inner', [2]],
      ['outer', [5]],
    ],
  )
  t.deepEqual([...enums], [['colour', [6]]])
  // The id 0 is void.
  t.is(positions.length, 7)
  t.is(nameAt(positionOf(3)), 'inner_t')
})

test('structs that share a name are all indexed', (t) => {
  const { structs } = readTypeRecords(
    btfFile(
      [
        [1, STRUCT, 8],
        [1, STRUCT, 4],
      ],
      '\0a\0',
    ),
  )
  t.deepEqual(structs.get('a'), [1, 2])
})

test('typedefs are followed to the underlying type; void stays void', (t) => {
  const { resolve } = readTypeRecords(sampleFile())
  t.is(resolve(3), 2)
  t.is(resolve(2), 2)
  t.is(resolve(0), 0)
})

const malformed: [what: string, read: () => unknown, message: RegExp][] = [
  ['another magic number', () => readTypeRecords(Buffer.alloc(24)), /little-endian/],
  ['a section that ends early', () => readTypeRecords(sampleFile().subarray(0, -1)), /truncated/],
  ['an unknown kind', () => readTypeRecords(btfFile([[0, 31 << 24, 0]], '\0')), /unknown kind, 31/],
  ['a record of void', () => readTypeRecords(btfFile([[0, 0, 0]], '\0')), /unknown kind, 0/],
  ['a name outside the string section', () => readTypeRecords(btfFile([[9, STRUCT, 0]], '\0a\0')), /outside/],
  [
    'an id that no type has',
    () => readTypeRecords(btfFile([[0, INT, 4, 32]], '\0')).positionOf(2),
    /no type 2/,
  ],
  ['a cycle of typedefs', () => readTypeRecords(btfFile([[0, TYPEDEF, 1]], '\0')).resolve(1), /cycle/],
]

for (const [what, read, message] of malformed) {
  test(`type information with ${what} is rejected`, (t) =>
    void t.throws(read, { instanceOf: BtfError, message }))
}
