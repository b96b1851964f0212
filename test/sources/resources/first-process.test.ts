import test from 'ava'
import { firstProcessOf, readFirstProcess } from '../../../agent/sources/resources/first-process.ts'

/** With all 52 fields. */
const stat = (state: string, flags: number, exitCode = 0) =>
  `4242 (a) b) ${state} 1 4242 4242 0 -1 ${flags} ${'0 '.repeat(42)}${exitCode}\n`
const status = (thread: string, shared: string) =>
  `Name:\ta\nSigQ:\t0/1\nSigPnd:\t${thread.padStart(16, '0')}\nShdPnd:\t${shared.padStart(16, '0')}\n`

const table: [title: string, stat: string, status: string, result: 'running' | 'ending' | null][] = [
  ['sleeps', stat('S', 0x400100), status('0', '0'), 'running'],
  ['has other signals pending', stat('R', 0x400000), status('4200', '2'), 'running'],
  ['has a SIGKILL pending', stat('D', 0x400000), status('100', '0'), 'ending'],
  ['has a SIGKILL pending for all its threads', stat('R', 0x400000), status('0', '100'), 'ending'],
  ['has received the signal', stat('R', 0x400400), status('0', '0'), 'ending'],
  ['is about to receive the signal', stat('R', 0x400000, 9), status('0', '0'), 'ending'],
  ['is stopped', stat('T', 0x400000, 19), status('0', '0'), 'running'],
  ['is releasing its memory', stat('R', 0x400004), status('0', '0'), 'ending'],
  ['has lost its leading thread', stat('Z', 0x400004), status('0', '0'), null],
  ['has an incomplete status', stat('S', 0x400000), '', null],
]

for (const [title, ofStat, ofStatus, result] of table) {
  test(`a first process that ${title}: ${result ?? 'unknown'}`, (t) => {
    t.is(firstProcessOf(ofStat, ofStatus), result)
  })
}

test('a process that is gone or belongs to another container gives null', (t) => {
  t.is(readFirstProcess('/proc', process.pid, 'f'.repeat(64)), null)
  t.is(readFirstProcess('/nonexistent', 1, ''), null)
  t.is(readFirstProcess('/proc', process.pid, ''), 'running')
})
