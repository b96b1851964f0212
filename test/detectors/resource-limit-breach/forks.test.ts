import test from 'ava'
import type { Detection } from '../../../agent/model/finding.ts'
import type { Moment } from '../../../detectors/resource-limit-breach/moment.ts'
import { isBurstOf, judgeForks, noForks } from '../../../detectors/resource-limit-breach/forks.ts'
import { befell, sample } from '../../sources/resources/samples.ts'

const settings = { processes: 500, within: 10_000 }

const bursts: [grown: number, current: number, limit: number | null, isBurst: boolean][] = [
  [499, 510, null, false],
  [500, 510, null, true],
  [500, 510, 100_000, true],
  [250, 251, 300, true], // most of a limit, at once
  [240, 241, 320, false], // three quarters of it
  [140, 290, 300, false], // near it, but most was there before
  [19, 20, 20, true],
  [9, 10, 10, false], // too few to be a bomb
  [11, 12, 20, false], // a Node.js that starts
]

for (const [grown, current, limit, isBurst] of bursts) {
  test(`growth by ${grown} to ${current} of ${limit ?? 'no limit'} is ${isBurst ? 'a' : 'no'} burst`, (t) => {
    t.is(isBurstOf(grown, { current, limit }, settings), isBurst)
  })
}

function saidOf(...moments: Moment[]): Detection[] {
  const said: Detection[] = []
  let state = noForks
  for (const moment of moments) {
    const [after, detections] = judgeForks(settings)(state, moment)
    state = after
    said.push(...detections)
  }
  return said
}

const refusing = (time: number, refusedForks: number | null, limit: number | null = 100) =>
  sample(time, { pids: { current: 60, limit, refusedForks } })

test('the finding says how many forks were refused, and completes itself', (t) => {
  const said = saidOf(refusing(0, 0), refusing(1_000, 1), refusing(12_000, 41))
  t.like(said[0], {
    rule: 'pids-limit-hit',
    time: 1_000,
    summary: 'a fork was refused in web-1, which has 60 processes and threads of at most 100',
    evidence: { refused_forks: 1, current: 60, limit: 100 },
  })
  t.like(said[1], { time: 12_000, completes: true, act: said[0]?.act, evidence: { refused_forks: 41 } })
  t.regex(said[1]?.summary ?? '', /^41 forks were refused in web-1/)
})

test('a limit above the container is said to be one', (t) => {
  const [hit] = saidOf(refusing(0, 0, null), refusing(1_000, 1, null))
  t.regex(hit?.summary ?? '', /no limit of its own: one above it was reached$/)
})

test('a new cgroup counts refusals from 0 again', (t) => {
  t.is(saidOf(refusing(0, 9), refusing(1_000, 2)).length, 1)
  t.is(saidOf(refusing(0, 9), refusing(1_000, 0)).length, 0)
})

test('a kernel that does not count refusals tells of none', (t) => {
  t.deepEqual(saidOf(refusing(0, null), refusing(1_000, null)), [])
  t.deepEqual(saidOf(refusing(0, null), refusing(1_000, 5)), [])
})

test('a replayed start does not make old refusals new', (t) => {
  t.deepEqual(saidOf(refusing(10_000, 9), befell(5_000, 'started'), refusing(15_000, 9)), [])
})

const having = (time: number, current: number) => sample(time, { pids: { current, limit: null } })

test('a burst is told again only after a minute', (t) => {
  const said = saidOf(having(0, 1), having(5_000, 600), having(10_000, 1_500), having(66_000, 9_000))
  t.deepEqual(
    said.map(({ rule, time }) => [rule, time]),
    [
      ['process-burst', 5_000],
      ['process-burst', 66_000],
    ],
  )
  t.is(said[0]?.summary, 'web-1 grew by 599 processes and threads in 5 s, to 600')
})

test('slow growth is no burst', (t) => {
  const samples = Array.from({ length: 100 }, (_, index) => having(index * 5_000, index * 200))
  t.deepEqual(saidOf(...samples), [])
})

test('a container that begins as a bomb bursts with its first sample', (t) => {
  t.deepEqual(
    saidOf(befell(0, 'started'), having(800, 700)).map(({ rule }) => rule),
    ['process-burst'],
  )
  t.deepEqual(saidOf(having(800, 700)), [], 'one that was there before may always have been as large')
})
