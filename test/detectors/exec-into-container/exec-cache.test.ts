import test from 'ava'
import { execCache } from '../../../detectors/exec-into-container/exec-cache.ts'
import { sampleContainer, sampleExec } from '../../support/samples.ts'

const container = sampleContainer()
const start = (execId: string, time: number) => sampleExec({ container, execId, time })
const end = (execId: string, time: number) =>
  ({ kind: 'exec-ended', time, container, execId, exitCode: 0 }) as const

test('an ended exec is cached for a minute, a running one until it ends', (t) => {
  const execs = execCache()
  const first = execs.started('first', start('first', 0))
  for (let n = 1; n <= 10_000; n += 1) {
    execs.started(`${n}`, start(`${n}`, n * 100))
    execs.ended(`${n}`, end(`${n}`, n * 100 + 50))
  }
  const known = Array.from({ length: 10_000 }, (_, n) => n + 1).filter((n) => execs.get(`${n}`))
  t.deepEqual([known[0], known.at(-1)], [9_400, 10_000])
  t.is(execs.get('first'), first)
})

test('programs of execs that the engine never reports are cached for a minute', (t) => {
  const execs = execCache()
  for (let n = 0; n < 10_000; n += 1) execs.getOrCreate(`${n}`, n * 100)
  t.is(Array.from({ length: 10_000 }, (_, n) => n).filter((n) => execs.get(`${n}`)).length, 601)
})

test('data that arrived before the engine reported an exec belongs to it', (t) => {
  const execs = execCache()
  const early = execs.getOrCreate('an exec', 1_000)
  t.is(execs.started('an exec', start('an exec', 900)), early)
  for (let n = 0; n < 10; n += 1) execs.getOrCreate(`${n}`, n * 60_000)
  t.is(execs.getOrCreate('an exec', 600_000), early)
  const ended = end('an exec', 600_000)
  execs.ended('an exec', ended)
  t.like(execs.get('an exec'), { exec: { time: 900 }, end: ended })
})

test('the end of an unknown exec creates no record, and the oldest records are evicted', (t) => {
  const execs = execCache(2, 3)
  execs.ended('a', end('a', 0))
  t.is(execs.get('a'), undefined)
  for (const id of ['a', 'b', 'c']) execs.started(id, start(id, 0))
  t.deepEqual(
    ['a', 'b', 'c'].map((id) => execs.get(id) !== undefined),
    [false, true, true],
  )
  for (const id of ['d', 'e', 'f', 'g']) execs.getOrCreate(id, 0)
  t.deepEqual(
    ['d', 'e', 'f', 'g'].map((id) => execs.get(id) !== undefined),
    [false, true, true, true],
  )
})
