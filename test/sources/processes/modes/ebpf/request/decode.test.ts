import test from 'ava'
import { maxCgroupEnd } from '../../../../../../agent/ebpf/layout.ts'
import type { SeenRequest } from '../../../../../../agent/sources/processes/api-requests.ts'
import { cgroupCache } from '../../../../../../agent/sources/processes/modes/ebpf/cgroup-cache.ts'
import { recordTypes } from '../../../../../../agent/sources/processes/modes/ebpf/record-types.ts'
import { decodeRequest } from '../../../../../../agent/sources/processes/modes/ebpf/request/decode.ts'
import { requested } from '../../../../../../agent/sources/processes/modes/ebpf/request/record.ts'
import { beginRecord, sampleCgroup, sampleCgroupNames } from '../records.ts'

test('a request is decoded with its writer, its connection and only the written bytes', (t) => {
  const { seen, decode } = sample()
  t.true(decode(requestRecord('POST /x\0\xff')))
  t.deepEqual(seen, [
    {
      pid: 42,
      startTicks: 12_345,
      uid: 1_000,
      euid: 0,
      cgroup: sampleCgroup,
      connection: 2n ** 64n - 1n,
      text: 'POST /x\0\xff',
    },
  ])
})

test('a malformed record is rejected', (t) => {
  const { seen, decode } = sample()
  const tooLong = requestRecord('POST')
  tooLong.writeUInt32LE(requested.maxText + 1, requested.textBytes)
  const cgroupTooLong = requestRecord('POST')
  cgroupTooLong.writeUInt32LE(maxCgroupEnd + 1, requested.cgroupEnd)
  for (const bytes of [tooLong, cgroupTooLong, requestRecord('POST').subarray(1)]) t.false(decode(bytes))
  t.deepEqual(seen, [])
})

function requestRecord(text: string): Buffer {
  const bytes = beginRecord(recordTypes.requested, requested.length)
  bytes.writeBigUInt64LE(2n ** 64n - 1n, requested.connection)
  bytes.writeUInt32LE(text.length, requested.textBytes)
  bytes.write('rest of an earlier record', requested.text, 'latin1')
  bytes.write(text, requested.text, 'latin1')
  bytes.write(sampleCgroupNames, requested.tail, 'latin1')
  bytes.writeUInt32LE(sampleCgroupNames.length, requested.cgroupEnd)
  return bytes
}

function sample() {
  const seen: SeenRequest[] = []
  const cgroups = cgroupCache(() => undefined)
  const listener = { requested: (request: SeenRequest) => void seen.push(request) }
  return { seen, decode: (bytes: Buffer) => decodeRequest(bytes, 0, bytes.length, cgroups, listener) }
}
