import test from 'ava'
import { execFactsById } from '../../agent/exec-ledger/exec-facts.ts'
import type { ExecCaller, ExecEnded, ProcessObservation } from '../../agent/model/observation.ts'
import { sampleCaller, sampleContainer, sampleExec, sampleProcess } from '../support/samples.ts'

const container = sampleContainer()
const start = (execId: string, time: number) => sampleExec({ container, execId, time })
const end = (execId: string, time: number): ExecEnded => ({
  kind: 'exec-ended',
  time,
  container,
  execId,
  exitCode: 0,
})
const program = (execId: string, time: number, rest: Partial<ProcessObservation> = {}): ProcessObservation =>
  sampleProcess({
    ...rest,
    time,
    origin: { via: 'entered', entry: { pid: 7, startTicks: 1, startedAt: time }, execId, by: [] },
  })
const calledBy = (execId: string, time: number): ExecCaller => ({
  kind: 'exec-caller',
  time,
  container,
  execId,
  caller: sampleCaller(),
})

test('an ended exec is remembered for a minute, a running one until it ends', (t) => {
  const facts = execFactsById()
  facts.record(start('first', 0))
  const first = facts.of('first')
  for (let n = 1; n <= 10_000; n += 1) {
    facts.record(start(`${n}`, n * 100))
    facts.record(end(`${n}`, n * 100 + 50))
  }
  const known = Array.from({ length: 10_000 }, (_, n) => n + 1).filter((n) => facts.of(`${n}`))
  t.deepEqual([known[0], known.at(-1)], [9_400, 10_000])
  t.truthy(first)
  t.is(facts.of('first'), first)
})

test('programs and callers of execs that the engine never reports are remembered for a minute', (t) => {
  for (const early of [program, calledBy]) {
    const facts = execFactsById()
    for (let n = 0; n < 10_000; n += 1) facts.record(early(`${n}`, n * 100))
    t.is(Array.from({ length: 10_000 }, (_, n) => n).filter((n) => facts.of(`${n}`)).length, 601)
  }
})

test('data that arrived before the engine reported an exec belongs to it', (t) => {
  const facts = execFactsById()
  const [exec, first, caller, ended] = [
    start('an exec', 900),
    program('an exec', 1_000),
    calledBy('an exec', 1_001),
    end('an exec', 600_000),
  ]
  facts.record(first)
  const early = facts.of('an exec')
  facts.record(caller)
  facts.record(exec)
  for (let n = 0; n < 10; n += 1) facts.record(program(`${n}`, n * 60_000))
  facts.record(ended)
  t.is(facts.of('an exec'), early)
  t.deepEqual(early, { exec, caller: caller.caller, programs: [first.process], end: ended })
})

test('the first five programs of an exec are recorded, changed ids are not', (t) => {
  const facts = execFactsById()
  facts.record(program('an exec', 0, { change: 'ids-changed' }))
  t.is(facts.of('an exec'), undefined)
  const all = Array.from({ length: 9 }, (_, n) => program('an exec', n))
  for (const one of all) facts.record(one)
  t.deepEqual(
    facts.of('an exec')?.programs,
    all.slice(0, 5).map(({ process }) => process),
  )
})

test('an exec whose id is hidden has no record, nor has a process of no exec', (t) => {
  const facts = execFactsById()
  for (const one of [start('', 0), program('', 0), sampleProcess()]) facts.record(one)
  t.is(facts.of(''), undefined)
})

test('the end of an unknown exec creates no record, and the oldest records are evicted', (t) => {
  const facts = execFactsById(2, 3)
  facts.record(end('a', 0))
  t.is(facts.of('a'), undefined)
  for (const id of ['a', 'b', 'c']) facts.record(start(id, 0))
  t.deepEqual(
    ['a', 'b', 'c'].map((id) => facts.of(id) !== undefined),
    [false, true, true],
  )
  for (const id of ['d', 'e', 'f', 'g']) facts.record(program(id, 0))
  t.deepEqual(
    ['d', 'e', 'f', 'g'].map((id) => facts.of(id) !== undefined),
    [false, true, true, true],
  )
})
