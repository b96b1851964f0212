import test from 'ava'
import fc from 'fast-check'
import { recordDecoder } from '../../../../../agent/sources/processes/modes/ebpf/decode.ts'
import { exited } from '../../../../../agent/sources/processes/modes/ebpf/exit/record.ts'
import { forked } from '../../../../../agent/sources/processes/modes/ebpf/fork/record.ts'
import { victimRecord } from '../../../../../agent/sources/processes/modes/ebpf/oom-victim/record.ts'
import { recordTypes } from '../../../../../agent/sources/processes/modes/ebpf/record-types.ts'
import { requested } from '../../../../../agent/sources/processes/modes/ebpf/request/record.ts'
import type { SeenProcess } from '../../../../../agent/sources/processes/table/known-process.ts'
import { beginRecord, execRecord, sampleCgroup } from './records.ts'

const records: [type: keyof typeof recordTypes, record: Buffer, reported: string[]][] = [
  ['executed', execRecord(), ['executed']],
  ['forked', beginRecord(recordTypes.forked, forked.length), ['forked']],
  ['exited', beginRecord(recordTypes.exited, exited.length), ['idsChanged', 'exited']],
  ['requested', beginRecord(recordTypes.requested, requested.length), ['requested']],
  ['oomVictim', beginRecord(recordTypes.oomVictim, victimRecord.length), ['oomVictim']],
]

test('each type of record has a decoder', (t) => {
  t.deepEqual(
    records.map(([type]) => type),
    Object.keys(recordTypes) as (keyof typeof recordTypes)[],
  )
})

for (const [type, record, reported] of records) {
  test(`a record of the type ${type} is decoded by its type, wherever it is in the ring`, (t) => {
    const { calls, decoder } = sample()
    const ring = Buffer.concat([Buffer.alloc(16, 0xff), record])
    t.true(decoder.decode(ring, 16, record.length))
    t.deepEqual(calls, reported)
    t.false(decoder.decode(ring, 16, forked.length - 1))
    t.deepEqual(calls, reported)
  })
}

test('an empty record and a record of an unknown type are rejected', (t) => {
  const { calls, decode } = sample()
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(3), beginRecord(9, 200)]) t.false(decode(bytes))
  t.deepEqual(calls, [])
})

test('arbitrary bytes never throw', (t) => {
  const bytesOf = fc.uint8Array({ maxLength: requested.length + 100, size: 'max' })
  fc.assert(
    fc.property(fc.constantFrom(...Object.values(recordTypes)), bytesOf, (type, noise) => {
      const bytes = Buffer.from(noise)
      if (bytes.length >= 4) bytes.writeUInt32LE(type)
      const { seen, decode } = sample()
      decode(bytes)
      for (const one of seen) one.program()
    }),
    { numRuns: 300 },
  )
  t.pass()
})

test('a cgroup name is decoded once, and not used for another cgroup', (t) => {
  const { seen, decode, decoder } = sample()
  decode(execRecord())
  decode(execRecord())
  decode(execRecord({ cgroupId: 2n ** 33n + 5n, cgroup: 'other\0' }))
  t.is(seen[0]?.cgroup, seen[1]?.cgroup)
  t.is(seen[2]?.cgroup.path, '/other')
  t.is([...decoder.cgroups()].length, 2)
})

test('the cgroup cache is bounded and keeps recently used entries', (t) => {
  const { seen, decode, decoder } = sample()
  for (let n = 0; n < 10_000; n += 1) {
    decode(execRecord())
    decode(execRecord({ cgroupId: BigInt(1_000 + n), cgroup: `job-${n}\0` }))
  }
  const paths = [...decoder.cgroups()].map(({ cgroup }) => cgroup.path)
  t.true(paths.length <= 1_024)
  t.is(paths.filter((path) => path === sampleCgroup.path).length, 1)
  t.true(paths.includes('/job-9999'))
  t.is(seen[0]?.cgroup, seen.at(-2)?.cgroup)
})

function sample() {
  const seen: SeenProcess[] = []
  const calls: string[] = []
  const decoder = recordDecoder({
    executed(one) {
      calls.push('executed')
      seen.push(one)
    },
    forked: () => void calls.push('forked'),
    exited: () => void calls.push('exited'),
    idsChanged: () => void calls.push('idsChanged'),
    oomVictim: () => void calls.push('oomVictim'),
    requested: () => void calls.push('requested'),
  })
  return { seen, calls, decoder, decode: (bytes: Buffer) => decoder.decode(bytes, 0, bytes.length) }
}
