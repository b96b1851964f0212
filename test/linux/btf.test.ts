import { readFileSync } from 'node:fs'
import test from 'ava'
import fc from 'fast-check'
import { BtfError, readBtf } from '../../agent/linux/btf.ts'

test('this kernel’s own structures are found, through typedefs, nested members and anonymous unions', (t) => {
  const btf = readBtf(readFileSync('/sys/kernel/btf/vmlinux'))
  t.is(btf.offsetOf('list_head.next'), 0)
  t.is(btf.offsetOf('list_head.prev'), 8)
  t.is(btf.sizeOf('list_head'), 16)
  // d_name and d_parent differ by the order in include/linux/dcache.h.
  t.true(btf.offsetOf('dentry.d_name.name') > btf.offsetOf('dentry.d_parent'))
  t.is(btf.offsetOf('path.dentry') + btf.offsetOf('file.f_path'), btf.offsetOf('file.f_path.dentry'))
  t.true(btf.has('task_struct.tgid'))
  t.true(btf.enumValue('cgroup_subsys_id', 'pids_cgrp_id') > 0)
})

test('a missing type is an error that names it, and `has` returns false', (t) => {
  const btf = readBtf(readFileSync('/sys/kernel/btf/vmlinux'))
  t.throws(() => btf.offsetOf('task_struct.no_such_member'), {
    instanceOf: BtfError,
    message: /no_such_member/,
  })
  t.throws(() => btf.offsetOf('no_such_struct.x'), { instanceOf: BtfError })
  t.throws(() => btf.enumValue('cgroup_subsys_id', 'no_such_constant'), { instanceOf: BtfError })
  t.throws(() => btf.sizeOf('no_such_struct'), { instanceOf: BtfError })
  t.false(btf.has('task_struct.no_such_member'))
})

test('a truncated file of this kernel is an error', (t) => {
  const whole = readFileSync('/sys/kernel/btf/vmlinux')
  for (const length of [0, 1, 23, 24, 1_000, whole.length >> 1, whole.length - 1]) {
    t.throws(() => readBtf(whole.subarray(0, length)), { instanceOf: BtfError }, `${length} bytes`)
  }
})

test('members of a small file have the right offsets', (t) => {
  const btf = readBtf(sample())
  t.is(btf.offsetOf('outer.first'), 0)
  t.is(btf.offsetOf('outer.inner.second'), 12)
  t.is(btf.offsetOf('outer.hidden'), 16)
  t.is(btf.sizeOf('outer'), 32)
  t.is(btf.enumValue('colour', 'red'), 7)
  t.throws(() => btf.offsetOf('outer.bits'), { instanceOf: BtfError, message: /bit field/ })
})

test('the parameters of a tracepoint are found through the typedef of its function', (t) => {
  const names = '\0int\0task_struct\0of_task\0of_pid\0plain\0pid_t\0'
  const name = (text: string) => names.indexOf(`\0${text}\0`) + 1
  const btf = readBtf(
    file(
      [
        [name('int'), INT, 4, 32],
        [name('task_struct'), STRUCT, 8],
        [0, POINTER, 2],
        [0, POINTER, 0],
        [name('pid_t'), TYPEDEF, 1],
        [0, FUNCTION | 3, 0, 0, 4, 0, 3, 0, 5],
        [0, POINTER, 6],
        [name('of_task'), TYPEDEF, 7],
        [0, FUNCTION | 2, 0, 0, 4, 0, 1],
        [0, POINTER, 9],
        [name('of_pid'), TYPEDEF, 10],
        [name('plain'), TYPEDEF, 1],
      ],
      names,
    ),
  )
  const context = { kind: 'pointer', to: '' }
  const int = { kind: 'int', bytes: 4 }
  t.deepEqual(btf.parameters('of_task'), [context, { kind: 'pointer', to: 'task_struct' }, int])
  t.deepEqual(btf.parameters('of_pid'), [context, int])
  t.is(btf.parameters('plain'), null)
  t.is(btf.parameters('none'), null)
})

test('cyclic types are an error', (t) => {
  // 1: typedef of itself; 2: struct with anonymous members of its own type.
  const members = Array.from({ length: 10 }, () => [0, 2, 0])
  const cyclic = readBtf(
    file(
      [
        [0, TYPEDEF, 1],
        [1, STRUCT | 10, 8, ...members.flat()],
        [3, STRUCT | 1, 8, 5, 1, 0],
      ],
      '\0a\0b\0c\0',
    ),
  )
  t.throws(() => cyclic.offsetOf('a.x'), { instanceOf: BtfError, message: /nested too deeply/ })
  t.throws(() => cyclic.offsetOf('b.c.x'), { instanceOf: BtfError, message: /form a cycle/ })
})

test('arbitrary bytes give a number or an error', (t) => {
  const good = sample()
  const change = fc.record({ at: fc.nat(good.length - 1), to: fc.nat(255) })
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 12 }), fc.nat(good.length), (changes, cut) => {
      const bytes = Buffer.from(good)
      for (const { at, to } of changes) bytes[at] = to
      for (const candidate of [bytes, bytes.subarray(0, cut)]) {
        try {
          const btf = readBtf(candidate)
          for (const path of ['outer.first', 'outer.inner.second', 'outer.hidden']) btf.offsetOf(path)
          btf.enumValue('colour', 'red')
          btf.parameters('inner_t')
        } catch (error) {
          if (!(error instanceof BtfError)) throw error
        }
      }
    }),
    { numRuns: 3_000 },
  )
  t.pass()
})

const INT = 1 << 24
const POINTER = 2 << 24
const STRUCT = 4 << 24
const UNION = 5 << 24
const ENUM = 6 << 24
const TYPEDEF = 8 << 24
const FUNCTION = 13 << 24
const BIT_FIELDS = 2 ** 31

/** struct outer { int first; inner_t inner; union { int hidden; }; int bits : 3; }; enum colour { red = 7 }; */
function sample(): Buffer {
  const names = '\0int\0inner\0second\0inner_t\0outer\0first\0hidden\0colour\0red\0bits\0'
  const name = (text: string) => names.indexOf(`\0${text}\0`) + 1
  return file(
    [
      [name('int'), INT, 4, 32],
      [name('inner'), STRUCT | 2, 8, name('first'), 1, 0, name('second'), 1, 32],
      [name('inner_t'), TYPEDEF, 2],
      [0, UNION | 1, 4, name('hidden'), 1, 0],
      // With bit fields the upper byte of an offset is a width.
      [
        ...[name('outer'), BIT_FIELDS + (STRUCT | 4), 32],
        ...[name('first'), 1, 0],
        ...[name('inner'), 3, 64],
        ...[0, 4, 128],
        ...[name('bits'), 1, (3 << 24) | 163],
      ],
      [name('colour'), ENUM | 1, 4, name('red'), 7],
    ],
    names,
  )
}

/** Header, types and names of a BTF file. */
function file(types: readonly number[][], names: string): Buffer {
  const words = types.flat()
  const body = Buffer.alloc(words.length * 4)
  for (const [index, word] of words.entries()) body.writeUInt32LE(word, index * 4)
  const header = Buffer.alloc(24)
  header.writeUInt16LE(0xeb9f, 0)
  header.writeUInt8(1, 2)
  for (const [index, field] of [24, 0, body.length, body.length, names.length].entries()) {
    header.writeUInt32LE(field, 4 + index * 4)
  }
  return Buffer.concat([header, body, Buffer.from(names, 'latin1')])
}
