import test from 'ava'
import type { ExecFacts, ExecView } from '../../../agent/model/exec-view.ts'
import { noEntry, noFacts } from '../../../agent/model/exec-view.ts'
import { processActor } from '../../../agent/model/actor.ts'
import type { Caller, ProcessObservation } from '../../../agent/model/observation.ts'
import { describe } from '../../../detectors/unexpected-root-process/describe.ts'
import { actOf } from '../../support/acts.ts'
import { sampleCaller, sampleEnteringProcess, sampleProcess } from '../../support/samples.ts'

type Given = { seen?: Parameters<typeof sampleProcess>[0]; rule?: string; startedBy?: string }

const root = { containerUid: 0, containerEuid: 0, uid: 0, euid: 0 }
const file = { origin: 'container', status: null } as const
const gainBy = (rest = {}): NonNullable<ProcessObservation['gain']> => ({
  way: 'file',
  isNew: true,
  by: { pid: 5_000, startTicks: 100, exe: '/app' },
  file,
  before: { uid: 1_000, euid: 1_000, capabilities: 0n },
  ...rest,
})

function act({ seen = {}, rule = 'root-in-nonroot-container', startedBy }: Given = {}): string {
  const process = sampleProcess({ ...seen, process: { ...root, ...seen.process } })
  return actOf(describe(process, [rule], 0n, startedBy))
}

const rows: [title: string, one: Given, other: Given][] = [
  ['other arguments', {}, { seen: { process: { argv: ['/app', 'x'] } } }],
  ['a file with the same name elsewhere', {}, { seen: { process: { exe: '/tmp/app' } } }],
  [
    'a file of the image and one that was copied over it',
    { seen: { file: { ...file, origin: 'image' } } },
    { seen: { file } },
  ],
  ['another user', {}, { seen: { process: { containerUid: 7, containerEuid: 7 } } }],
  [
    'the container itself and an exec',
    { startedBy: 'container' },
    { startedBy: 'alice with /usr/bin/docker' },
  ],
  [
    'two users who gained root',
    { seen: { gain: gainBy() } },
    { seen: { gain: gainBy({ before: { uid: 1_001, euid: 1_001, capabilities: 0n } }) } },
  ],
  [
    'two programs of which a child inherited root',
    { seen: { gain: gainBy({ by: { pid: 7, startTicks: 1, exe: '/app' } }) } },
    { seen: { gain: gainBy({ by: { pid: 7, startTicks: 1, exe: '/bin/su' } }) } },
  ],
  [
    'two ways of gaining root',
    { rule: 'privilege-escalation', seen: { gain: gainBy() } },
    { rule: 'privilege-escalation', seen: { gain: gainBy({ way: 'overwrite' }) } },
  ],
]

for (const [title, one, other] of rows) {
  test(`two root processes are two acts: ${title}`, (t) => {
    t.not(act(one), act(other))
  })
}

test('the same program as root again is a repeat, in any process', (t) => {
  const again = { pid: 9, startTicks: 8, parentPid: 7, startedAt: 5 }
  for (const rule of [
    'root-in-nonroot-container',
    'privilege-escalation',
    'new-root-program',
    'setuid-program',
  ])
    t.is(act({ rule }), act({ rule, seen: { time: 5, process: again } }))
})

test('a process is started by its container, by the caller of its exec, or by who entered', (t) => {
  const entry = { pid: 5_000, startTicks: 100, startedAt: 1 }
  const by = [sampleEnteringProcess(['nsenter'], { loginUser: 'bob' })]
  const entered = sampleProcess({ origin: { via: 'entered', entry, execId: 'e'.repeat(64), by } })
  const execs = (entryBy: 'exec' | 'none', caller: Caller | null): Pick<ExecView, 'factsOf' | 'entryOf'> => ({
    factsOf: (): ExecFacts => ({ ...noFacts, caller }),
    entryOf: () => ({ ...noEntry, by: entryBy }),
  })
  t.is(processActor(sampleProcess(), execs('exec', sampleCaller())), 'container')
  t.is(processActor(entered, execs('exec', sampleCaller())), 'alice with /usr/bin/docker')
  t.is(processActor(entered, execs('exec', null)), undefined)
  t.is(processActor(entered, execs('none', sampleCaller())), 'bob with /usr/bin/nsenter', 'a claimed exec')
})
