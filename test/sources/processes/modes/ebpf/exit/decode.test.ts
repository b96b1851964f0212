import test from 'ava'
import { decodeExit } from '../../../../../../agent/sources/processes/modes/ebpf/exit/decode.ts'
import { exited } from '../../../../../../agent/sources/processes/modes/ebpf/exit/record.ts'
import { recordTypes } from '../../../../../../agent/sources/processes/modes/ebpf/record-types.ts'
import { beginRecord } from '../records.ts'

const codes: [how: string, leader: number, group: number, code: { status: number; signal: number }][] = [
  ['the only thread calls exit', 0x0700, 0, { status: 7, signal: 0 }],
  ['another thread ends all of them', 0, 0x0300, { status: 3, signal: 0 }],
  ['a signal', 9, 9, { status: 0, signal: 9 }],
  ['a signal with a core dump', 0x8b, 0x8b, { status: 0, signal: 11 }],
]

for (const [how, leader, group, code] of codes) {
  test(`the exit code of a process is decoded: ${how}`, (t) => {
    const { seen, decode } = sample()
    t.true(decode(exitRecord(leader, group)))
    t.deepEqual(seen.at(-1), ['exited', 42, 12_345, 200_000, code])
  })
}

test('the ids of a process are reported before its exit', (t) => {
  const { seen, decode } = sample()
  decode(exitRecord(0, 0))
  t.deepEqual(seen[0], ['idsChanged', 42, { uid: 1_000, euid: 0 }, 200_000])
  t.is(seen.length, 2)
})

test('a truncated record is rejected', (t) => {
  const { seen, decode } = sample()
  t.false(decode(exitRecord(0, 0).subarray(1)))
  t.deepEqual(seen, [])
})

function exitRecord(leader: number, group: number): Buffer {
  const record = beginRecord(recordTypes.exited, exited.length)
  record.writeUInt32LE(leader, exited.leaderCode)
  record.writeUInt32LE(group, exited.groupCode)
  return record
}

function sample() {
  const seen: unknown[][] = []
  const listener = {
    idsChanged: (...change: unknown[]) => void seen.push(['idsChanged', ...change]),
    exited: (...exit: unknown[]) => void seen.push(['exited', ...exit]),
  }
  return { seen, decode: (bytes: Buffer) => decodeExit(bytes, 0, bytes.length, listener) }
}
