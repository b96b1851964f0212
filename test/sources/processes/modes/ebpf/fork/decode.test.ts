import test from 'ava'
import { decodeFork } from '../../../../../../agent/sources/processes/modes/ebpf/fork/decode.ts'
import { forked } from '../../../../../../agent/sources/processes/modes/ebpf/fork/record.ts'
import { recordTypes } from '../../../../../../agent/sources/processes/modes/ebpf/record-types.ts'
import { beginRecord } from '../records.ts'

test('a fork is decoded with the parent and the creator of the new process', (t) => {
  const seen: unknown[][] = []
  const listener = { forked: (...fork: unknown[]) => void seen.push(fork) }
  const record = beginRecord(recordTypes.forked, forked.length)
  record.writeUInt32LE(6, forked.creatorPid)
  t.true(decodeFork(record, 0, record.length, listener))
  const child = { pid: 42, startTicks: 12_345, parentPid: 7, uid: 1_000, euid: 0, creatorPid: 6 }
  t.deepEqual(seen, [[child, 200_000]])
  t.false(decodeFork(record, 0, record.length - 1, listener))
})
