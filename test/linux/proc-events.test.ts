import test from 'ava'
import fc from 'fast-check'
import { parseProcEvent, type ProcEvent } from '../../agent/linux/proc-events.ts'

const events: [name: string, what: number, words: number[], event: ProcEvent | null][] = [
  ['fork of a process', 0x1, [10, 10, 20, 20], { what: 'fork', parentPid: 10, pid: 20 }],
  ['fork by a thread', 0x1, [11, 10, 20, 20], { what: 'fork', parentPid: 10, pid: 20 }],
  ['start of a thread', 0x1, [10, 10, 21, 20], null],
  ['exec', 0x2, [20, 20, 0, 0], { what: 'exec', pid: 20 }],
  ['change of uid', 0x4, [21, 20, 1_000, 0], { what: 'uid', pid: 20, thread: 21, real: 1_000, effective: 0 }],
  ['change of gid', 0x40, [20, 20, 5, 6], { what: 'gid', pid: 20, thread: 20, real: 5, effective: 6 }],
  ['exit of a process', 0x8000_0000, [20, 20, 0x700, 17], { what: 'exit', pid: 20, code: 0x700 }],
  ['exit of a thread', 0x8000_0000, [21, 20, 0, 17], null],
  ['change of name', 0x200, [20, 20, 0, 0], null],
]

for (const [name, what, words, event] of events) {
  test(`a message about the ${name} is parsed`, (t) => {
    t.deepEqual(parseProcEvent(message(what, words)), {
      processor: 3,
      sequence: 42,
      monotonicNs: 5_000_000_000n,
      event,
    })
  })
}

test('a message of another connector is rejected', (t) => {
  const other = message(0x2, [20, 20, 0, 0])
  other.writeUInt32LE(9, 16)
  t.is(parseProcEvent(other), undefined)
})

test('arbitrary bytes never throw', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.nat(52 + 16), (noise, cut) => {
      parseProcEvent(Buffer.from(noise))
      parseProcEvent(message(0x1, [1, 1, 2, 2]).subarray(0, cut))
    }),
  )
  t.pass()
})

function message(what: number, words: readonly number[]): Buffer {
  const bytes = Buffer.alloc(52 + words.length * 4)
  bytes.writeUInt32LE(1, 16)
  bytes.writeUInt32LE(1, 20)
  bytes.writeUInt32LE(42, 24)
  bytes.writeUInt32LE(what, 36)
  bytes.writeUInt32LE(3, 40)
  bytes.writeBigUInt64LE(5_000_000_000n, 44)
  for (const [index, word] of words.entries()) bytes.writeUInt32LE(word, 52 + index * 4)
  return bytes
}
