import test from 'ava'
import { lastResortMs, type OomFact, recordFact } from '../../../detectors/resource-limit-breach/oom-facts.ts'
import { emptyLedger } from '../../../detectors/resource-limit-breach/oom-ledger.ts'
import { died, survived } from '../../../detectors/resource-limit-breach/oom-report.ts'
import {
  lifecycle,
  container,
  details,
  fixtureId,
  oomVictim,
  sample,
} from '../../sources/resources/samples.ts'

const mib = 2 ** 20

// Facts about one container. Times are milliseconds; only their order is judged.

const count = (time: number, oomKills: number | null) => sample(time, { memory: { oomKills } })
const alive = (time: number, oomKills: number) =>
  sample(time, { memory: { oomKills }, firstProcess: 'running' })
const dying = (time: number, oomKills: number) =>
  sample(time, { memory: { oomKills }, firstProcess: 'ending' })
const started = (time = 0) => lifecycle(time, 'started')
/** A start whose time the engine names. */
const startedAt = (time: number) =>
  lifecycle(time, 'started', { container: container({ details: details({ startedAt: time }) }) })
const event = (time: number) => lifecycle(time, 'oom')
const killed = (time: number) => lifecycle(time, 'died', { exitCode: 137 })
const flagged = (time: number) => lifecycle(time, 'died', { exitCode: 137, oomKilled: true })
const exited = (time: number, exitCode = 0) => lifecycle(time, 'died', { exitCode })
const init = (time: number) => oomVictim(time, { isInit: true })
const child = (time: number, pid = 4300) =>
  oomVictim(time, { process: { pid, startTicks: 77, exe: '/bin/eat', argv: ['eat'] } })
const sigkillRequest = (time: number): OomFact => ({
  kind: 'sigkill-request',
  time,
  container: { id: fixtureId },
})
const deadline = 'deadline'

type Fact = OomFact | typeof deadline

/** The reports for these facts: the rule, and the number of kills where there are several. */
function reportsOf(facts: readonly Fact[]): string[] {
  let ledger = emptyLedger
  return facts.flatMap((fact) => {
    const [next, reports] = recordFact(ledger, fact)
    ledger = next
    return reports.map(({ detection: { rule, evidence } }) =>
      Number(evidence['kills'] ?? 1) > 1 ? `${rule} ${Number(evidence['kills'])}` : rule,
    )
  })
}

const kill = 'oom-kill'
const death = 'container-oom-killed'

/** All orders of some facts. */
function ordersOf<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]]
  return items.flatMap((item, index) => ordersOf(items.toSpliced(index, 1)).map((rest) => [item, ...rest]))
}

const late = 60_000

test('the first process is killed: one finding, for any order and delay of the facts', (t) => {
  for (const delay of [1, late]) {
    for (const facts of ordersOf([init(1_000), killed(1_000 + delay), event(1_000 + delay)])) {
      t.deepEqual(reportsOf([started(), ...facts]), [death])
    }
    for (const facts of ordersOf([event(1_000 + delay), killed(1_000 + delay)])) {
      t.deepEqual(reportsOf([started(), ...facts]), [death])
      t.deepEqual(reportsOf([started(), count(0, 0), dying(1_000, 1), ...facts]), [death])
      t.deepEqual(reportsOf([count(0, 3), dying(1_000, 4), dying(6_000, 4), ...facts]), [death])
    }
    for (const facts of ordersOf([init(1_000), dying(1_001, 1), event(1_000 + delay)])) {
      t.deepEqual(reportsOf([started(), ...facts, killed(1_002 + delay)]), [death])
    }
    t.deepEqual(reportsOf([started(), flagged(1_000 + delay), event(1_000 + delay)]), [death])
    t.deepEqual(reportsOf([started(), init(1_000), flagged(1_000 + delay), event(late)]), [death])
  }
})

test('another process is killed: one finding, for any order and delay of the facts', (t) => {
  for (const delay of [1, late]) {
    const after = 2_000 + delay
    for (const facts of ordersOf([child(1_000), event(1_000 + delay), alive(after, 1)])) {
      t.deepEqual(
        reportsOf([
          started(),
          ...facts,
          alive(after + 5_000, 1),
          sigkillRequest(after + 5_001),
          flagged(after + 5_002),
        ]),
        [kill],
      )
    }
    for (const facts of ordersOf([event(1_000 + delay), alive(after, 1), alive(after + 5_000, 1)])) {
      t.deepEqual(reportsOf([count(0, 0), ...facts, alive(after + 9_000, 1), exited(late * 2)]), [kill])
    }
    t.deepEqual(reportsOf([started(), exited(500), event(500 + delay)]), [kill])
    t.deepEqual(reportsOf([started(), event(400), exited(500 + delay, 1)]), [kill])
  }
})

const table: [title: string, facts: Fact[], reports: string[]][] = [
  // The counter.
  ['several kills between two samples', [count(0, 0), alive(1, 3), alive(2, 3)], [`${kill} 3`]],
  ['several kills and one engine event', [count(0, 0), event(1), alive(2, 3), alive(3, 3)], [`${kill} 3`]],
  ['a kill while another is undecided', [count(0, 0), alive(1, 1), alive(2, 2), alive(3, 2)], [kill, kill]],
  ['kills from before the daemon', [count(0, 3), alive(1, 3), alive(2, 3)], []],
  ['a kill whose event came before the first sample', [event(0), alive(1, 1), alive(2, 1)], [kill]],
  ['the first sample after a start', [started(), alive(1, 1), alive(2, 1)], [kill]],
  ['a counter that decreased', [count(0, 5), alive(1, 2), alive(2, 2)], [`${kill} 2`]],
  [
    'a counter that is missing in one sample',
    [count(0, 1), count(1, null), alive(2, 2), alive(3, 2)],
    [kill],
  ],
  ['a death without a following start', [count(0, 0), exited(1), count(2, 4), count(3, 4)], []],
  [
    'a new run counts from 0',
    [count(0, 2), exited(1), started(2), count(3, 0), alive(4, 1), alive(5, 1)],
    [kill],
  ],
  ['a replay of an old run', [lifecycle(10, 'seen'), count(10, 3), exited(4), started(5), alive(15, 3)], []],
  // What proves that the container survived.
  ['a sample in which the first process is ending', [count(0, 0), dying(1, 1), dying(9_000, 1)], []],
  ['the sample that shows a kill first', [count(0, 0), alive(1, 1)], []],
  ['an ending first process that dies', [count(0, 0), dying(1, 1), dying(9_000, 1), killed(late)], [death]],
  // Events without a kill.
  ['an event that the counter contradicts', [count(0, 0), event(1), alive(2, 0), alive(3, 0), killed(4)], []],
  ['surplus events', [count(0, 0), event(1), event(2), alive(3, 1), alive(4, 1), killed(5)], [kill]],
  [
    'surplus events do not hide a later kill',
    [count(0, 0), event(1), alive(2, 0), alive(3, 1), alive(4, 1)],
    [kill],
  ],
  // Deaths with and without a kill.
  ['docker kill', [started(), sigkillRequest(1), killed(2)], []],
  [
    'docker kill after a kill that was survived',
    [started(), child(1), event(2), sigkillRequest(3), flagged(4)],
    [kill],
  ],
  [
    'docker kill while a kill is undecided',
    [started(), count(0, 0), dying(1, 1), sigkillRequest(2), killed(3)],
    [kill],
  ],
  ['a SIGKILL of unknown origin', [started(), killed(1)], []],
  [
    'a SIGKILL of unknown origin after a child was killed',
    [count(0, 0), alive(1, 1), alive(2, 1), killed(3), event(late)],
    [kill],
  ],
  ['a flag from before the daemon', [lifecycle(0, 'seen', { oomKilled: true }), flagged(late)], []],
  [
    'a flag and an exit code other than 137',
    [started(), event(1), lifecycle(2, 'died', { exitCode: 1, oomKilled: true })],
    [kill],
  ],
  ['two events of the last kill', [started(), event(1), event(2), killed(3)], [death]],
  [
    'two events of a counted death',
    [started(), count(0, 0), dying(1, 1), event(2), event(3), killed(4)],
    [death],
  ],
  ['two events of a death, the second late', [started(), event(1), killed(2), event(3)], [death]],
  [
    'three events of a death whose victim the kernel names',
    [started(), init(1), event(2), killed(3), event(4), event(5)],
    [death],
  ],
  [
    'two events of a child’s kill, and docker kill',
    [started(), child(1), event(2), event(3), sigkillRequest(4), killed(5)],
    [kill],
  ],
  ['two events of a kill, and an exit', [started(), event(1), event(2), exited(3, 1)], [kill]],
  ['two events before the first sample', [event(0), event(1), alive(2, 3), alive(3, 3)], [kill]],
  [
    'a death of a container whose child was killed long ago',
    [started(), count(0, 0), event(1), alive(2, 1), alive(3, 1), alive(4, 1), event(5), killed(6)],
    [kill, death],
  ],
  ['two events and nothing else', [event(1), event(2), deadline], [kill]],

  [
    'two kills that the kernel names, the second fatal',
    [started(), child(1), init(2), killed(3), event(4), event(late)],
    [kill, death],
  ],
  [
    'a victim that is not the first process, then a manual SIGKILL',
    [started(), child(1), killed(2), event(3)],
    [kill],
  ],
  // Restarts.
  [
    'killed, restarted, killed',
    [started(), event(1), killed(2), started(3), event(4), killed(5)],
    [death, death],
  ],
  ['both events late', [started(), killed(2), started(3), killed(5), event(6), event(late)], [death, death]],
  ['an event in the next run', [started(), killed(2), started(3), event(4), count(5, 0)], [death]],
  [
    'an event of the next run',
    [started(), killed(2), started(3), event(4), alive(5, 1), alive(6, 1)],
    [kill],
  ],
  [
    'the next victim before the last death',
    [started(), init(1), init(7), killed(5), started(6), killed(8), event(9), event(10)],
    [death, death],
  ],
  ['killed before the engine reports its start', [init(1), started(2), killed(3), event(4)], [death]],
  [
    'killed before the engine reports its next start',
    [started(), killed(1), init(2), started(3), killed(4)],
    [death],
  ],
  [
    'a child killed before the engine reports the start',
    [lifecycle(0, 'created'), child(1), started(2), alive(3, 1), alive(4, 1), flagged(5)],
    [kill],
  ],
  [
    'a start that follows a missed end',
    [startedAt(1), init(2), startedAt(3), init(4), killed(5)],
    [death, death],
  ],
  ['a counted kill of a run whose end was missed', [startedAt(1), dying(2, 1), startedAt(3)], [kill]],
  ['a start that is reported twice', [startedAt(1), init(2), startedAt(1), killed(3)], [death]],
  ['a kill soon after a start', [exited(0), started(1), event(2), alive(3, 1), alive(4, 1)], [kill]],
  [
    'an event later than any engine’s delay',
    [started(), killed(1), started(2), event(lastResortMs + 2), count(lastResortMs + 3, 0)],
    [],
  ],
  // Victims that the kernel names.
  ['each of several victims', [started(), child(1, 7), child(1, 8), alive(2, 2), alive(3, 2)], [kill, kill]],
  ['a victim that was counted before', [count(0, 0), alive(1, 1), child(2), alive(3, 1), event(4)], [kill]],
  ['one of two that the kernel names', [count(0, 0), alive(1, 2), child(1), alive(2, 2)], [kill, kill]],
  [
    'a victim that is not counted, and a kill after it',
    [count(0, 0), child(1), alive(2, 0), alive(3, 1), alive(4, 1)],
    [kill, kill],
  ],
  ['a group with the first process', [started(), ...group(7, 8), init(1), killed(2), event(3)], [death]],
  ['a group without the first process', [started(), ...group(7, 8), exited(2)], [`${kill} 2`]],
  [
    'a first process whose death is never reported',
    [started(), init(1), deadline, event(2), killed(3)],
    [death],
  ],
  // The last resort.
  ['an event and nothing else', [event(1), deadline], [kill]],
  ['a counted kill and nothing else', [count(0, 0), count(1, 1), deadline, alive(2, 1), killed(3)], [kill]],
  ['nothing is undecided', [count(0, 0), deadline], []],
]

function group(...pids: number[]): OomFact[] {
  return pids.map((pid) => ({ ...child(1, pid), isGroup: true }))
}

for (const [title, facts, reports] of table) {
  test(`${title}: ${reports.join(', ') || 'nothing'}`, (t) => {
    t.deepEqual(reportsOf(facts), reports)
  })
}

test('memory stays bounded with unlimited facts', (t) => {
  let ledger = emptyLedger
  for (let time = 0; time < 1_000; time++) {
    for (const fact of [event(time), killed(time), started(time), init(time)])
      [ledger] = recordFact(ledger, fact)
  }
  t.true(ledger.events.length <= 64 && ledger.unexplained.length <= 64 && ledger.initVictims.length <= 64)
})

const memory = { workingSetBytes: 500 * mib, limitBytes: 512 * mib, swapBytes: 0, oomKills: 0 }
const kills = {
  time: 1_000,
  container: container(),
  count: 1,
  reportedBy: 'counter' as const,
  eventKey: 'oom:x',
  memory,
  victims: [],
}

test('a kill that the container survived is reported with the limit and the memory used before', (t) => {
  t.deepEqual(survived(kills).detection, {
    rule: 'oom-kill',
    time: 1_000,
    container: container(),
    summary: 'web-1: out of memory, 1 process killed (limit 512 MiB)',
    subject: [],
    eventKey: 'oom:x',
    evidence: {
      kills: 1,
      seen_by: 'counter',
      limit_bytes: 512 * mib,
      last_working_set_bytes: 500 * mib,
    },
  })
  const three = survived({ ...kills, count: 3 }).detection
  t.is(three.summary, 'web-1: out of memory, 3 processes killed (limit 512 MiB)')
})

test('a death is reported with the configured limit where no sample was taken', (t) => {
  const limits = { memoryBytes: 64 * mib, cpus: null, pids: null }
  const limited = { ...kills, memory: null, container: container({ details: details({ limits }) }) }
  t.like(died(limited, { time: 1_100, exitCode: 137 }).detection, {
    rule: 'container-oom-killed',
    time: 1_000,
    eventKey: `oom:${fixtureId}:1100`,
    summary: 'web-1 was OOM-killed (limit 64 MiB)',
    evidence: { exit_code: 137, limit_bytes: 64 * mib },
  })
})

test('a kill has the same event key after a restart of the daemon, whichever fact reports it', (t) => {
  const actsOf = (facts: readonly OomFact[]) => {
    let ledger = emptyLedger
    return facts.flatMap((fact) => {
      const [next, reports] = recordFact(ledger, fact)
      ledger = next
      return reports.map(({ detection }) => detection.eventKey)
    })
  }
  const eventKey = `oom:${fixtureId}:1000:1`
  t.deepEqual(actsOf([count(0, 0), alive(1, 1), alive(2, 1)]), [eventKey])
  t.deepEqual(actsOf([count(0, 0), child(1)]), [eventKey])
  t.deepEqual(actsOf([event(1), alive(2, 1), alive(3, 1)]), [eventKey])
})
