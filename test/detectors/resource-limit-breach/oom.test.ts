import test from 'ava'
import type { Moment } from '../../../detectors/resource-limit-breach/moment.ts'
import { emptyTally, type Kill, tallyKills } from '../../../detectors/resource-limit-breach/oom-tally.ts'
import { emptyVerdict, judgeKills } from '../../../detectors/resource-limit-breach/oom-verdict.ts'
import { befell, container, details, fixtureId, sample } from '../../resources/samples.ts'

const mib = 2 ** 20

const counting = (time: number, oomKills: number | null) => sample(time, { memory: { oomKills } })
const oom = (time: number) => befell(time, 'oom')

/** Every kill that these moments tell of, as `event` or `counter`, with how many where there are several. */
function kills(...moments: Moment[]): string[] {
  let tally = emptyTally
  return moments.flatMap((moment) => {
    const [next, told] = tallyKills(tally, moment)
    tally = next
    return told.map(({ toldBy, count }) => (count === 1 ? toldBy : `${toldBy} ${count}`))
  })
}

const tallies: [title: string, moments: Moment[], kills: string[]][] = [
  ['events alone', [oom(1), oom(2)], ['event', 'event']],
  ['several that only the counter tells of', [counting(0, 0), counting(5_000, 3)], ['counter 3']],
  ['one event of three kills', [counting(0, 0), oom(1_000), counting(5_000, 3)], ['event', 'counter 2']],
  ['more events than kills', [counting(0, 0), oom(1), oom(2), counting(5_000, 1)], ['event', 'event']],
  [
    'surplus events do not hide a later kill',
    [counting(0, 0), oom(1), counting(5_000, 0), counting(9_000, 1)],
    ['event', 'counter'],
  ],
  ['a late event of a counted kill', [counting(0, 0), counting(5_000, 1), oom(14_900)], ['counter']],
  [
    'an event too late to be that of a counted kill',
    [counting(0, 0), counting(5_000, 1), oom(15_001)],
    ['counter', 'event'],
  ],
  [
    'a second event after a counted kill',
    [counting(0, 0), counting(5_000, 1), oom(5_100), oom(5_200)],
    ['counter', 'event'],
  ],
  [
    'a kill whose event is taken for that of an earlier one',
    [counting(0, 0), counting(5_000, 1), oom(9_000), counting(10_000, 2)],
    ['counter', 'counter'],
  ],
  ['an engine that tells no counter', [counting(0, null), oom(1), counting(5_000, null)], ['event']],
  [
    'a counter that is not told for once',
    [counting(0, 1), counting(5_000, null), counting(10_000, 2)],
    ['counter'],
  ],
  ['a counter that went back', [counting(0, 5), counting(5_000, 2)], ['counter 2']],
  ['an end that was not followed by a start', [counting(0, 0), befell(1, 'died'), counting(5_000, 4)], []],
]

for (const [title, moments, told] of tallies) {
  test(`${title}: ${told.join(', ') || 'none'}`, (t) => {
    t.deepEqual(kills(...moments), told)
  })
}

test('a kill has a name of its own for ever', (t) => {
  const [, [byEvent]] = tallyKills(emptyTally, oom(1_234.5))
  t.is(byEvent?.act, `oom:${fixtureId}:1234.5`)
  const [, [byCounter]] = tallyKills({ ...emptyTally, counter: 1 }, counting(5_000, 2))
  t.is(byCounter?.act, `oom:${fixtureId}:1000:2`)
})

const memory = { workingSetBytes: 500 * mib, limitBytes: 512 * mib, swapBytes: 0, oomKills: 0 }
const kill: Kill = {
  kind: 'kill',
  time: 1_000,
  container: container(),
  count: 1,
  toldBy: 'event',
  act: 'oom:x',
  memory,
}

test('a kill that the container survived says so', (t) => {
  const [, said] = judgeKills({ ...emptyVerdict, pending: [kill] }, { kind: 'lapse', kill, after: 10_000 })
  t.deepEqual(said, [
    {
      rule: 'oom-kill',
      time: 1_000,
      container: container(),
      summary: 'a process of web-1 was killed for want of memory (its limit is 512 MiB)',
      subject: [],
      act: 'oom:x',
      evidence: {
        kills: 1,
        told_by: 'event',
        limit_bytes: 512 * mib,
        last_working_set_bytes: 500 * mib,
      },
    },
  ])
})

test('several kills at once are said as one', (t) => {
  const three = { ...kill, count: 3 }
  const [, [said]] = judgeKills(
    { ...emptyVerdict, pending: [three] },
    { kind: 'lapse', kill: three, after: 10_000 },
  )
  t.is(said?.summary, '3 processes of web-1 were killed for want of memory (its limit is 512 MiB)')
})

test('a death is told with the time and name of its kill, and with the configured limit where no sample was taken', (t) => {
  const limits = { memoryBytes: 64 * mib, cpus: null, pids: null }
  const early = { ...kill, memory: null, container: container({ details: details({ limits }) }) }
  const died = befell(1_100, 'died', { exitCode: 137 })
  const [, said] = judgeKills({ ...emptyVerdict, pending: [early] }, died)
  t.like(said[0], {
    rule: 'container-oom-killed',
    time: 1_000,
    act: 'oom:x',
    summary: 'web-1 was killed for want of memory (its limit is 64 MiB)',
    evidence: { exit_code: 137, told_by: 'event', limit_bytes: 64 * mib },
  })
  t.is(said.length, 1)
})

const deaths: [title: string, exitCode: number, oomKilled: boolean, rule: string][] = [
  ['by SIGKILL', 137, false, 'container-oom-killed'],
  ['with an error while the engine says so', 1, true, 'container-oom-killed'],
  ['with an error of its own', 1, false, 'oom-kill'],
  ['well, whatever the engine says', 0, true, 'oom-kill'],
]

for (const [title, exitCode, oomKilled, rule] of deaths) {
  test(`a container that ends ${title} right after a kill is a case of ${rule}`, (t) => {
    const died = befell(1_500, 'died', { exitCode, oomKilled })
    const [after, said] = judgeKills({ ...emptyVerdict, pending: [kill] }, died)
    t.deepEqual(
      said.map((one) => one.rule),
      [rule],
    )
    t.deepEqual(after.pending, [])
  })
}

test('a kill more than a second away from a death is apart from it', (t) => {
  const [, said] = judgeKills({ ...emptyVerdict, pending: [kill] }, befell(2_001, 'died', { exitCode: 137 }))
  t.deepEqual(
    said.map(({ rule }) => rule),
    ['oom-kill'],
  )
})
