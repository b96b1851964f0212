import test from 'ava'
import type { KnownProcess } from '../../../../agent/sources/processes/table/known-process.ts'
import { processTable } from '../../../../agent/sources/processes/table/table.ts'
import { fakeClock, knownProcess } from '../samples.ts'

test('a running process is found by pid, an exited one by pid and start time or by pid and time', (t) => {
  const { table, clock, epoch } = sample()
  const shell = knownProcess({ pid: 10, startTicks: 100 })
  table.add(shell)
  t.is(table.get(10), shell)
  table.end(shell, 3_000, { status: 0, signal: 0 })
  t.is(table.get(10), undefined)
  t.is(table.find({ pid: 10, startTicks: 100 }), shell)
  t.is(table.at(10, epoch + 2_000), shell)
  t.is(table.at(10, epoch + 3_500), undefined)
  t.is(table.at(10, epoch + 999), undefined)
  clock.forward(60_000)
  table.forget()
  t.is(table.find(shell), undefined)
  t.is(table.size, 0)
})

test('a reused pid is not mistaken for its former process', (t) => {
  const { table, epoch } = sample()
  const [first, second, third] = [100, 200, 300].map((startTicks) =>
    knownProcess({ pid: 10, startTicks }),
  ) as [KnownProcess, KnownProcess, KnownProcess]
  table.add(first)
  table.end(first, 1_500, { status: 1, signal: 0 })
  table.add(second)
  // The exit of the second is never reported.
  table.add(third)
  t.is(table.get(10), third)
  t.is(table.at(10, epoch + 1_200), first)
  t.is(table.at(10, epoch + 1_700), undefined)
  t.is(table.at(10, epoch + 2_500), second)
  t.is(table.at(10, epoch + 9_000), third)
  t.deepEqual(second.exit, { sinceBoot: 3_000, code: null })
})

test('a lookup by pid and time is correct after the wall clock was set', (t) => {
  const { table, clock, epoch } = sample()
  const shell = knownProcess({ pid: 10, startTicks: 100 })
  table.add(shell)
  table.end(shell, 2_000, { status: 0, signal: 0 })
  clock.set(-3_600_000)
  t.is(table.at(10, epoch - 3_600_000 + 1_500), shell)
  t.is(table.at(10, epoch - 3_600_000 + 2_500), undefined)
})

test('ancestors are the creators, even after they exited or the process was orphaned', (t) => {
  const { table } = sample()
  const init = knownProcess({ pid: 1, startTicks: 1 })
  const shell = knownProcess({ pid: 2, startTicks: 2, creatorPid: 1, creatorStartTicks: 1 })
  const orphan = knownProcess({ pid: 3, startTicks: 3, parentPid: 1, creatorPid: 2, creatorStartTicks: 2 })
  for (const process of [init, shell, orphan]) table.add(process)
  table.end(shell, 50, null)
  t.deepEqual(table.ancestors(orphan), [shell, init])
  // The creator's pid has been reused by an unrelated process.
  table.add(knownProcess({ pid: 2, startTicks: 9 }))
  t.deepEqual(table.ancestors(orphan), [shell, init])
})

test('a cycle of creators terminates', (t) => {
  const { table } = sample()
  const one = knownProcess({ pid: 1, startTicks: 1, creatorPid: 2, creatorStartTicks: 2 })
  const two = knownProcess({ pid: 2, startTicks: 2, creatorPid: 1, creatorStartTicks: 1 })
  table.add(one)
  table.add(two)
  t.true(table.ancestors(one).length <= 1_000)
})

test('a full table drops exited processes first, and rejects new ones rather than drop running ones', (t) => {
  const { table } = sample({ max: 3 })
  const [ended, living, other] = [1, 2, 3].map((pid) => knownProcess({ pid, startTicks: pid })) as [
    KnownProcess,
    KnownProcess,
    KnownProcess,
  ]
  for (const process of [ended, living, other]) t.true(table.add(process))
  table.end(ended, 10, null)
  t.true(table.add(knownProcess({ pid: 4, startTicks: 4 })))
  t.is(table.find(ended), undefined)
  t.false(table.add(knownProcess({ pid: 5, startTicks: 5 })))
  t.is(table.get(2), living)
  t.is(table.size, 3)
})

test('of a burst of short programs the latest are remembered, up to the limit', (t) => {
  const { table } = sample({ maxEnded: 100 })
  for (let pid = 1; pid <= 5_000; pid++) {
    const process = knownProcess({ pid, startTicks: pid })
    table.add(process)
    table.end(process, pid, null)
  }
  t.is(table.size, 100)
  t.is(table.find({ pid: 4_900, startTicks: 4_900 }), undefined)
  t.is(table.find({ pid: 4_901, startTicks: 4_901 })?.pid, 4_901)
})

test('an exit that is reported late is remembered as long as any other', (t) => {
  const { table, clock } = sample()
  const process = knownProcess({ pid: 1, startTicks: 1 })
  table.add(process)
  clock.forward(60_000)
  table.end(process, 20, null)
  clock.forward(4_000)
  table.forget()
  t.is(table.latest(1), process)
  clock.forward(2_000)
  table.forget()
  t.is(table.latest(1), undefined)
})

test('a second exit of the same process changes nothing', (t) => {
  const { table } = sample()
  const process = knownProcess({ pid: 1, startTicks: 1 })
  table.add(process)
  table.end(process, 20, { status: 1, signal: 0 })
  table.end(process, 30, { status: 2, signal: 0 })
  t.deepEqual(process.exit, { sinceBoot: 20, code: { status: 1, signal: 0 } })
  t.deepEqual([...table.living()], [])
})

function sample(bounds: { max?: number; maxEnded?: number } = {}) {
  const clock = fakeClock()
  return { table: processTable({ clock, ...bounds }), clock, epoch: clock.epochOffset() }
}
