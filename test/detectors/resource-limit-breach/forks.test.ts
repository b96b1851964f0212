import test from 'ava'
import type { Detection } from '../../../agent/model/finding.ts'
import type { ContainerEvent } from '../../../detectors/resource-limit-breach/container-event.ts'
import { isBurstOf, judgeForks, noForks } from '../../../detectors/resource-limit-breach/forks.ts'
import { lifecycle, sample } from '../../sources/resources/samples.ts'

const settings = { processes: 500, within: 10_000 }

const bursts: [grown: number, current: number, limit: number | null, isBurst: boolean][] = [
  [499, 510, null, false],
  [500, 510, null, true],
  [500, 510, 100_000, true],
  [250, 251, 300, true], // most of a limit, at once
  [240, 241, 320, false], // three quarters of it
  [140, 290, 300, false], // near it, but mostly from before
  [19, 20, 20, true],
  [9, 10, 10, false], // too few to be a bomb
  [11, 12, 20, false], // Node.js at startup
]

for (const [grown, current, limit, isBurst] of bursts) {
  test(`growth by ${grown} to ${current} of ${limit ?? 'no limit'} is ${isBurst ? 'a' : 'not a'} burst`, (t) => {
    t.is(isBurstOf(grown, { current, limit }, settings), isBurst)
  })
}

function detectionsOf(...events: ContainerEvent[]): Detection[] {
  const all: Detection[] = []
  let state = noForks
  for (const event of events) {
    const [after, detections] = judgeForks(settings)(state, event)
    state = after
    all.push(...detections)
  }
  return all
}

const refusing = (time: number, refusedForks: number | null, limit: number | null = 100) =>
  sample(time, { pids: { current: 60, limit, refusedForks } })

test('the finding gives the number of refused forks, and is updated', (t) => {
  const detections = detectionsOf(refusing(0, 0), refusing(1_000, 1), refusing(12_000, 41))
  t.like(detections[0], {
    rule: 'pids-limit-hit',
    time: 1_000,
    summary: 'web-1 hit its process limit (60 of 100, 1 fork refused)',
    evidence: { refused_forks: 1, current: 60, limit: 100 },
  })
  t.like(detections[1], {
    time: 12_000,
    isUpdate: true,
    eventKey: detections[0]?.eventKey,
    evidence: { refused_forks: 41 },
  })
  t.regex(detections[1]?.summary ?? '', / 41 forks refused\)$/)
})

test('a limit of a parent cgroup is reported as such', (t) => {
  const [hit] = detectionsOf(refusing(0, 0, null), refusing(1_000, 1, null))
  t.regex(
    hit?.summary ?? '',
    /^web-1 hit the process limit of a parent cgroup \(60 processes and threads, 1 fork refused\)$/,
  )
})

test('a new cgroup counts refusals from 0 again', (t) => {
  t.is(detectionsOf(refusing(0, 9), refusing(1_000, 2)).length, 1)
  t.is(detectionsOf(refusing(0, 9), refusing(1_000, 0)).length, 0)
})

test('a kernel that does not count refusals reports none', (t) => {
  t.deepEqual(detectionsOf(refusing(0, null), refusing(1_000, null)), [])
  t.deepEqual(detectionsOf(refusing(0, null), refusing(1_000, 5)), [])
})

test('a replayed start does not report old refusals again', (t) => {
  t.deepEqual(detectionsOf(refusing(10_000, 9), lifecycle(5_000, 'started'), refusing(15_000, 9)), [])
})

const having = (time: number, current: number) => sample(time, { pids: { current, limit: null } })

test('a burst is reported again only after a minute', (t) => {
  const detections = detectionsOf(
    having(0, 1),
    having(5_000, 600),
    having(10_000, 1_500),
    having(66_000, 9_000),
  )
  t.deepEqual(
    detections.map(({ rule, time }) => [rule, time]),
    [
      ['process-burst', 5_000],
      ['process-burst', 66_000],
    ],
  )
  t.is(detections[0]?.summary, 'web-1: 599 new processes and threads in 5 s (now 600)')
})

test('slow growth is not a burst', (t) => {
  const samples = Array.from({ length: 100 }, (_, index) => having(index * 5_000, index * 200))
  t.deepEqual(detectionsOf(...samples), [])
})

test('a container that starts as a fork bomb is a burst at its first sample', (t) => {
  t.deepEqual(
    detectionsOf(lifecycle(0, 'started'), having(800, 700)).map(({ rule }) => rule),
    ['process-burst'],
  )
  t.deepEqual(detectionsOf(having(800, 700)), [], 'an existing container may always have been this large')
})
