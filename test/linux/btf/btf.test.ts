import { readFileSync } from 'node:fs'
import test from 'ava'
import fc from 'fast-check'
import { readBtf } from '../../../agent/linux/btf/btf.ts'
import { BtfError } from '../../../agent/linux/btf/error.ts'
import { sampleFile } from './btf-file.ts'

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
  const btf = readBtf(sampleFile())
  t.is(btf.offsetOf('outer.first'), 0)
  t.is(btf.offsetOf('outer.inner.second'), 12)
  t.is(btf.offsetOf('outer.hidden'), 16)
  t.is(btf.sizeOf('outer'), 32)
  t.is(btf.enumValue('colour', 'red'), 7)
  t.throws(() => btf.offsetOf('outer.bits'), { instanceOf: BtfError, message: /bit field/ })
})

test('arbitrary bytes give a number or an error', (t) => {
  const good = sampleFile()
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
