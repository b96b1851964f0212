import test from 'ava'
import { createResume, type Resume } from '../../../../agent/sources/docker/events/resume.ts'

const at = 1_795_500_000_000 // milliseconds
const nano = (milliseconds: number) => BigInt(milliseconds) * 1_000_000n

test('the first stream starts at the daemon’s start time', (t) => {
  t.is(createResume(null, at).since(at + 500), '1795500000.000000000')
})

test('a stream resumes exactly one second before the last event', (t) => {
  const resume = createResume(null, at)
  resume.advance(nano(at) + 123_456_789n)
  t.is(resume.since(at + 60_000), '1795499999.123456789')
})

test('a daemon resumes where the previous one stopped', (t) => {
  const first = createResume(null, at)
  see(first, 'a', at)
  see(first, 'b', at + 1)
  const second = createResume(JSON.parse(JSON.stringify(first.state())), at + 5_000)
  t.is(second.since(at + 5_000), '1795499999.001000000')
  t.false(second.isNew('a'))
  t.false(second.isNew('b'))
  t.true(second.isNew('c'))
})

test('with a position in the future the last second is requested, so that no event is omitted', (t) => {
  const resume = createResume({ timeNano: String(nano(at + 3_600_000)), recent: [] }, at)
  t.is(resume.since(at), '1795499999.000000000')
})

test('after the clock is set back, the next event sets the position', (t) => {
  const resume = createResume(null, at)
  resume.advance(nano(at))
  resume.advance(nano(at - 3_600_000))
  t.is(resume.since(at), '1795496399.000000000')
})

test('an invalid position counts as none', (t) => {
  t.is(createResume({ timeNano: 'x', recent: [] }, at).since(at), '1795500000.000000000')
})

test('256 past events, none of them known, are one gap', (t) => {
  const resume = createResume(null, at)
  see(resume, 'seen', at)
  resume.attached(at + 10_000)
  const gaps = Array.from({ length: 400 }, (_, index) => see(resume, `missed ${index}`, at + 1 + index))
  t.deepEqual(indexesOf(gaps), [255])
})

for (const [claim, events] of [
  ['255 past events', 255],
  ['no past events', 0],
] as const) {
  test(`${claim} are not a gap: the engine remembers more`, (t) => {
    const resume = createResume(null, at)
    see(resume, 'seen', at)
    resume.attached(at + 10_000)
    const past = Array.from({ length: events }, (_, index) => see(resume, `past ${index}`, at + 1 + index))
    const live = Array.from({ length: 300 }, (_, index) => see(resume, `live ${index}`, at + 20_000 + index))
    t.deepEqual(indexesOf([...past, ...live]), [])
  })
}

test('past events that start with a known one are not a gap, however many they are', (t) => {
  const resume = createResume(null, at)
  see(resume, 'seen', at)
  resume.attached(at + 10_000)
  see(resume, 'seen', at)
  const gaps = Array.from({ length: 400 }, (_, index) => see(resume, `next ${index}`, at + 1 + index))
  t.deepEqual(indexesOf(gaps), [])
})

test('a first stream has no gap', (t) => {
  const resume = createResume(null, at)
  resume.attached(at)
  const gaps = Array.from({ length: 400 }, (_, index) => see(resume, `event ${index}`, at - 500 + index))
  t.deepEqual(indexesOf(gaps), [])
})

test('with times that go backwards nothing is lost or repeated', (t) => {
  const resume = createResume(null, at)
  for (const [line, time] of [
    ['a', 10],
    ['b', 30],
    ['c', 20],
  ] as const)
    t.true(resume.isNew(line) && !resume.advance(nano(at + time)))
  t.is(resume.since(at + 100), '1795499999.020000000')
  t.deepEqual(
    ['a', 'b', 'c', 'd'].map((line) => resume.isNew(line)),
    [false, false, false, true],
  )
})

test('long lines are distinguished by their beginning, their end and their length', (t) => {
  const resume = createResume(null, at)
  const long = 'x'.repeat(1_000_000)
  const lines = [`{"id":1}${long}`, `{"id":2}${long}`, `${long}"time":1`, `${long}"time":2`, `${long}x`, long]
  for (const line of lines) t.true(resume.isNew(line))
  for (const line of lines) t.false(resume.isNew(line))
})

test('the remembered lines are bounded', (t) => {
  const resume = createResume(null, at)
  for (let index = 0; index < 5_000; index += 1) see(resume, `line ${index}`, at)
  t.is(resume.state()?.recent.length, 512)
})

function see(resume: Resume, line: string, milliseconds: number): boolean {
  return resume.isNew(line) && resume.advance(nano(milliseconds))
}

function indexesOf(gaps: readonly boolean[]): number[] {
  return gaps.flatMap((gap, index) => (gap ? [index] : []))
}
