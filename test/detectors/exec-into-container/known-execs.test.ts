import test from 'ava'
import { knownExecs } from '../../../detectors/exec-into-container/known-execs.ts'
import { sampleContainer, sampleExec } from '../../support/samples.ts'

const container = sampleContainer()
const start = (execId: string, time: number) => sampleExec({ container, execId, time })
const end = (execId: string, time: number) =>
  ({ kind: 'exec-ended', time, container, execId, exitCode: 0 }) as const

test('what has ended is known for a minute, and what goes on for as long as it does', (t) => {
  const execs = knownExecs()
  const first = execs.started('first', start('first', 0))
  for (let n = 1; n <= 10_000; n += 1) {
    execs.started(`${n}`, start(`${n}`, n * 100))
    execs.ended(`${n}`, end(`${n}`, n * 100 + 50))
  }
  const known = Array.from({ length: 10_000 }, (_, n) => n + 1).filter((n) => execs.get(`${n}`))
  t.deepEqual([known[0], known.at(-1)], [9_400, 10_000])
  t.is(execs.get('first'), first)
})

test('programs of execs that the engine never tells of are known for a minute', (t) => {
  const execs = knownExecs()
  for (let n = 0; n < 10_000; n += 1) execs.of(`${n}`, n * 100)
  t.is(Array.from({ length: 10_000 }, (_, n) => n).filter((n) => execs.get(`${n}`)).length, 601)
})

test('what came before the engine told of an exec is of it', (t) => {
  const execs = knownExecs()
  const heard = execs.of('an exec', 1_000)
  t.is(execs.started('an exec', start('an exec', 900)), heard)
  for (let n = 0; n < 10; n += 1) execs.of(`${n}`, n * 60_000)
  t.is(execs.of('an exec', 600_000), heard)
  const ended = end('an exec', 600_000)
  execs.ended('an exec', ended)
  t.like(execs.get('an exec'), { exec: { time: 900 }, end: ended })
})

test('the end of what was never told of begins nothing, and the oldest make room', (t) => {
  const execs = knownExecs(2, 3)
  execs.ended('a', end('a', 0))
  t.is(execs.get('a'), undefined)
  for (const id of ['a', 'b', 'c']) execs.started(id, start(id, 0))
  t.deepEqual(
    ['a', 'b', 'c'].map((id) => execs.get(id) !== undefined),
    [false, true, true],
  )
  for (const id of ['d', 'e', 'f', 'g']) execs.of(id, 0)
  t.deepEqual(
    ['d', 'e', 'f', 'g'].map((id) => execs.get(id) !== undefined),
    [false, true, true, true],
  )
})
