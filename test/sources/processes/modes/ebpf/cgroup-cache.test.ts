import test from 'ava'
import { cgroupFields } from '../../../../../agent/ebpf/layout.ts'
import { cgroupCache } from '../../../../../agent/sources/processes/modes/ebpf/cgroup-cache.ts'
import { execRecord, sampleCgroup } from './records.ts'

test('a cgroup is decoded once for each id, and listed with its budget key', (t) => {
  const { at, all } = cgroupCache(() => t.fail())
  const record = execRecord()
  record.writeBigUInt64LE(77n, cgroupFields.budgetKey)
  t.deepEqual(at(record, 0), sampleCgroup)
  t.is(at(record, 0), at(execRecord({ cgroup: 'same id\0' }), 0))
  t.is(at(execRecord({ cgroupId: 6n, cgroup: 'other\0' }), 0).path, '/other')
  t.deepEqual(
    [...all()].map(({ cgroup, budgetKey }) => [cgroup.path, budgetKey]),
    [
      [sampleCgroup.path, 77n],
      ['/other', 0n],
    ],
  )
})

test('each new generation is announced', (t) => {
  let generations = 0
  const { at } = cgroupCache(() => void generations++)
  for (let id = 0n; id < 1_025n; id += 1n) at(execRecord({ cgroupId: id }), 0)
  t.is(generations, 2)
})
