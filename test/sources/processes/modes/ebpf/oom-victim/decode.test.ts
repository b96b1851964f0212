import test from 'ava'
import { cgroupFields, common, maxCgroupEnd } from '../../../../../../agent/ebpf/layout.ts'
import { cgroupCache } from '../../../../../../agent/sources/processes/modes/ebpf/cgroup-cache.ts'
import { decodeVictim } from '../../../../../../agent/sources/processes/modes/ebpf/oom-victim/decode.ts'
import { victimRecord } from '../../../../../../agent/sources/processes/modes/ebpf/oom-victim/record.ts'
import { recordTypes } from '../../../../../../agent/sources/processes/modes/ebpf/record-types.ts'
import type { SeenVictim } from '../../../../../../agent/sources/processes/oom-victim.ts'
import { beginRecord, sampleCgroup, sampleCgroupNames } from '../records.ts'

test('a victim is decoded with its cgroup', (t) => {
  const { seen, decode } = sample()
  t.true(decode(record()))
  const victim = { pid: 42, startTicks: 12_345, cgroup: sampleCgroup, isGroup: true, isNamespaceInit: true }
  t.deepEqual(seen, [victim])
})

test('pid 1 of a nested pid namespace is not a container’s init', (t) => {
  const { seen, decode } = sample()
  const nested = record()
  nested.writeUInt32LE(2, victimRecord.namespaceLevel)
  t.true(decode(nested))
  t.like(seen[0], { isNamespaceInit: false })
})

test('a victim of which the kernel reports only a thread id is decoded', (t) => {
  const { seen, decode } = sample()
  const old = Buffer.alloc(victimRecord.length)
  old.writeUInt32LE(recordTypes.oomVictim, common.type)
  old.writeUInt32LE(77, victimRecord.threadId)
  t.true(decode(old))
  t.deepEqual(seen, [{ threadId: 77 }])
})

test('a malformed record is rejected', (t) => {
  const { seen, decode } = sample()
  t.false(decode(record().subarray(0, -1)))
  const cgroupTooLong = record()
  cgroupTooLong.writeUInt32LE(maxCgroupEnd + 1, cgroupFields.cgroupEnd)
  t.false(decode(cgroupTooLong))
  t.deepEqual(seen, [])
})

function record(): Buffer {
  const bytes = beginRecord(recordTypes.oomVictim, victimRecord.length)
  bytes.writeUInt32LE(1, victimRecord.isGroup)
  bytes.writeUInt32LE(1, victimRecord.namespaceLevel)
  bytes.writeUInt32LE(1, victimRecord.namespacePid)
  bytes.writeUInt32LE(9, cgroupFields.cgroupId)
  bytes.writeUInt32LE(sampleCgroupNames.length, cgroupFields.cgroupEnd)
  bytes.write(sampleCgroupNames, cgroupFields.tail)
  return bytes
}

function sample() {
  const seen: SeenVictim[] = []
  const cgroups = cgroupCache(() => undefined)
  const listener = { oomVictim: (victim: SeenVictim) => void seen.push(victim) }
  return { seen, decode: (bytes: Buffer) => decodeVictim(bytes, 0, bytes.length, cgroups, listener) }
}
