import test from 'ava'
import type { OomVictim } from '../../../../agent/model/observation.ts'
import type { OomReport } from '../../../../detectors/resource-limit-breach/oom/report.ts'
import { victims } from '../../../../detectors/resource-limit-breach/oom/victims.ts'
import { sampleContainer, sampleDetection, sampleExec, sampleProcess } from '../../../support/samples.ts'

const web = sampleContainer()
const kill = sampleDetection({ rule: 'oom-kill', time: 5_000, container: web, evidence: { kills: 1 } })
const death: OomReport = {
  detection: sampleDetection({ rule: 'container-oom-killed', container: web, evidence: {} }),
  victims: [],
}

/** A number of kills since 4 s. */
function killed(kills: number): OomReport {
  return { detection: { ...kill, evidence: { kills } }, victims: { since: 4_000 } }
}

/** Execs that ended as given. */
function ended(...ends: { exitCode: number | null; time: number; container?: typeof web }[]) {
  const known = victims()
  ends.forEach(({ exitCode, time, container = web }, index) => {
    const execId = String(index).repeat(64)
    known.sawExec(sampleExec({ container, execId, argv: ['eat', String(index)] }))
    known.sawExecEnd({ kind: 'exec-ended', container, execId, exitCode, time })
  })
  return known
}

const other = sampleContainer({ id: 'f'.repeat(64) })
const table: [
  title: string,
  known: ReturnType<typeof victims>,
  kills: number,
  named: string[] | undefined,
][] = [
  ['the one exec that ended by SIGKILL', ended({ exitCode: 137, time: 5_900 }), 1, ['eat 0']],
  [
    'both of two',
    ended({ exitCode: 137, time: 4_900 }, { exitCode: 137, time: 5_000 }),
    2,
    ['eat 0', 'eat 1'],
  ],
  [
    'none of two where one was killed',
    ended({ exitCode: 137, time: 4_900 }, { exitCode: 137, time: 5_000 }),
    1,
    undefined,
  ],
  [
    'no exec that ended otherwise',
    ended({ exitCode: 1, time: 5_000 }, { exitCode: null, time: 5_000 }),
    1,
    undefined,
  ],
  ['no exec that ended before', ended({ exitCode: 137, time: 3_000 }), 1, undefined],
  ['no exec of another container', ended({ exitCode: 137, time: 5_000, container: other }), 1, undefined],
  ['none where no exec ended', victims(), 1, undefined],
]

/** Processes that ended by SIGKILL. */
function sigkilled(...ends: { time: number; container?: typeof web; argv?: string[]; exe?: string }[]) {
  const known = victims()
  ends.forEach(({ time, container = web, exe = '/bin/eat', argv }, index) => {
    const process = { pid: 100 + index, startTicks: 7, exe, argv: argv ?? ['eat', String(index)] }
    known.sawKill({ kind: 'process-killed', time, container, process })
  })
  return known
}

function afterLoss(known: ReturnType<typeof victims>, time: number, source: 'processes' | 'containers') {
  known.sawLoss({ kind: 'events-lost', time, source, reason: 'ring-full', count: 1 })
  return known
}

const many = Array.from({ length: 11 }, () => ({ time: 5_000 }))
const ofProcesses: [
  title: string,
  known: ReturnType<typeof victims>,
  kills: number,
  named: string[] | undefined,
][] = [
  ['the one process that was killed', sigkilled({ time: 5_020 }), 1, ['eat 0']],
  ['the program of one without arguments', sigkilled({ time: 5_020, argv: [] }), 1, ['/bin/eat']],
  [
    'all of a group that is killed as one',
    sigkilled({ time: 5_000 }, { time: 5_001 }),
    2,
    ['eat 0', 'eat 1'],
  ],
  ['none of two where one was killed', sigkilled({ time: 5_000 }, { time: 5_001 }), 1, undefined],
  ['no process that was killed before', sigkilled({ time: 3_900 }), 1, undefined],
  ['a process whose exit came a minute later', sigkilled({ time: 65_000 }), 1, ['eat 0']],
  ['no process of another container', sigkilled({ time: 5_000, container: other }), 1, undefined],
  [
    'no process where an exit may have been missed',
    afterLoss(sigkilled({ time: 5_000 }), 6_000, 'processes'),
    1,
    undefined,
  ],
  [
    'a process, whatever other sources missed',
    afterLoss(sigkilled({ time: 5_000 }), 6_000, 'containers'),
    1,
    ['eat 0'],
  ],
  [
    'a process, after an exit missed long ago',
    afterLoss(sigkilled({ time: 5_000 }), 1_000, 'processes'),
    1,
    ['eat 0'],
  ],
  ['no process of more than are reported', sigkilled(...many), 11, undefined],
  ['no process whose program is unknown', sigkilled({ time: 5_000, argv: [], exe: '' }), 1, undefined],
]

for (const [title, known, kills, named] of ofProcesses) {
  test(`for an OOM kill, ${title} is named from the kernel’s exit records`, (t) => {
    t.deepEqual(known.name(killed(kills)).evidence['killed_processes'], named)
  })
}

for (const [title, known, kills, named] of table) {
  test(`for an OOM kill, ${title} is named`, (t) => {
    t.deepEqual(known.name(killed(kills)).evidence['killed_execs'], named)
  })
}

test('a container that died is reported with its first process as last seen', (t) => {
  const known = victims()
  const pid = web.details?.pid ?? 0
  known.sawProcess(sampleProcess({ process: { pid, argv: ['sh', 'start.sh'] } }))
  known.sawProcess(sampleProcess({ process: { pid, argv: ['java', '-jar', 'app.jar'] } }))
  known.sawProcess(sampleProcess({ process: { pid: pid + 1, argv: ['sleep', '1'] } }))
  t.is(known.name(death).evidence['first_process'], 'java -jar app.jar')
  t.is(victims().name(death).evidence['first_process'], undefined)
})

test('commands are clipped, and their number is bounded', (t) => {
  const known = victims()
  const containerOf = (index: number) =>
    sampleContainer({ id: index.toString(16).padStart(64, '0'), details: { pid: 7 } })
  for (let index = 0; index <= 4_096; index++) {
    const process = { pid: 7, argv: ['x'.repeat(10_000)] }
    known.sawProcess(sampleProcess({ container: containerOf(index), process }))
  }
  const commandOf = (index: number) =>
    known.name({ ...death, detection: { ...death.detection, container: containerOf(index) } }).evidence[
      'first_process'
    ]
  t.is(commandOf(0), undefined)
  t.is((commandOf(4_096) as string).length, 200)
})

test('victims that the kernel names are taken as they are, including an exec among them', (t) => {
  const known = victims()
  const execId = 'e'.repeat(64)
  known.sawExec(sampleExec({ container: web, execId, argv: ['eat', 'all'] }))
  known.sawKill({
    kind: 'process-killed',
    time: 5_000,
    container: web,
    process: { pid: 7, startTicks: 1, exe: '/bin/other', argv: ['other'] },
  })
  const named = known.name({ detection: kill, victims: [victim('eat', execId), victim('gone', '')] })
  t.deepEqual(named.evidence['killed_processes'], ['eat', 'gone'])
  t.deepEqual(named.evidence['killed_execs'], ['eat all'])
  const unknown = known.name({ detection: kill, victims: [victim('', '')] })
  t.is(unknown.evidence['killed_processes'], undefined)
})

function victim(command: string, execId: string): OomVictim {
  const process = { pid: 300, startTicks: 9, exe: '', argv: command === '' ? [] : [command] }
  return { kind: 'oom-victim', time: 5_000, container: web, process, isInit: false, isGroup: false, execId }
}
