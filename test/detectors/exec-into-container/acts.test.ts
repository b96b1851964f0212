import test, { type ExecutionContext } from 'ava'
import { ignoreElements, merge, tap } from 'rxjs'
import { execLedger } from '../../../agent/exec-ledger/ledger.ts'
import { observationsByKind } from '../../../agent/daemon/pipeline.ts'
import type { Detection } from '../../../agent/model/finding.ts'
import type {
  Caller,
  ExecSettings,
  Observation,
  ProcessObservation,
} from '../../../agent/model/observation.ts'
import { execIntoContainer } from '../../../detectors/exec-into-container/index.ts'
import { actOf } from '../../support/acts.ts'
import { dockerEvent } from '../../support/docker-event.ts'
import { marbles } from '../../support/marbles.ts'
import { emptyMemory, silent } from '../../support/observed.ts'
import {
  sampleCaller,
  sampleContainer,
  sampleEnteringProcess,
  sampleExec,
  sampleProcess,
} from '../../support/samples.ts'

/** The detections of observations that arrive one after the other, without learning. */
function detectionsOf(t: ExecutionContext, ...observations: Observation[]): Detection[] {
  const all: Detection[] = []
  marbles(t, ({ hot, flush }) => {
    const letters = observations.map((_, index) => String.fromCodePoint(97 + index))
    const values = Object.fromEntries(letters.map((letter, index) => [letter, observations[index]!]))
    const seen$ = hot(letters.join(''), values)
    const memory = emptyMemory()
    const execs = execLedger(memory)
    merge(
      seen$.pipe(tap(execs.observe), ignoreElements()),
      execIntoContainer.detect(
        { ...silent, ...observationsByKind(seen$), memory, execs },
        { settle: 1, learn_after: 0 },
      ),
    ).subscribe((detection) => all.push(detection))
    flush()
  })
  return all
}

type Given = {
  argv?: string[]
  settings?: Partial<ExecSettings> | null
  by?: Caller | null
  id?: string
}

const shell = ['sh', '-c', 'echo deploy ok']

/** The act of an exec whose caller is known before the engine reports it. */
function execAct(t: ExecutionContext, { argv = shell, settings = {}, by = alice, id = 'e' }: Given): string {
  const execId = id.repeat(64)
  const exec = sampleExec({ execId, argv, settings })
  const { container, time } = exec
  const caller: Observation[] =
    by === null ? [] : [{ kind: 'exec-caller', container, time, execId, caller: by }]
  return actOf(detectionsOf(t, ...caller, exec).at(0) ?? t.fail())
}

const alice = sampleCaller()
const byProgram = (exe: string, rest = {}) =>
  sampleCaller({ process: { ...alice.process!, exe, argv: [exe], ...rest } })
const mallory = byProgram('/usr/bin/docker', { loginUser: 'mallory' })
const remote = (address: string) => sampleCaller({ confidence: 'remote', process: null, address })
const fromContainer = (id: string) => sampleCaller({ container: sampleContainer({ id: id.repeat(64) }) })
const unknown = sampleCaller({ confidence: 'unknown', process: null })

const different: [title: string, one: Given, other: Given][] = [
  ['other arguments of one program', {}, { argv: ['sh', '-c', 'cat /etc/shadow'] }],
  [
    'arguments that differ at the end of a long command',
    { argv: ['sh', '-c', 'x'.repeat(9_000)] },
    { argv: ['sh', '-c', `${'x'.repeat(9_000)}y`] },
  ],
  ['arguments that are split otherwise', { argv: ['a', 'b c'] }, { argv: ['a b', 'c'] }],
  ['one name in two places', { argv: ['/bin/app'] }, { argv: ['/tmp/app'] }],
  ['two users in the container', { settings: { user: '1000' } }, { settings: { user: '1001' } }],
  ['a terminal and none', { argv: ['top'], settings: { tty: true } }, { argv: ['top'] }],
  ['--privileged, in a privileged container too', { settings: { privileged: true } }, {}],
  ['two login users', {}, { by: mallory }],
  ['a login user and an unknown one', {}, { by: null }],
  ['a login user and the engine’s own client', {}, { by: unknown }],
  ['one user by two programs', {}, { by: byProgram('/usr/bin/python3') }],
  ['one user by two programs of one name', {}, { by: byProgram('/tmp/docker') }],
  ['two addresses', { by: remote('10.0.0.1:40000') }, { by: remote('10.0.0.2:40000') }],
  ['clients in two containers', { by: fromContainer('1') }, { by: fromContainer('2') }],
  ['a client in a container and one on the host', { by: fromContainer('1') }, {}],
]

for (const [title, one, other] of different) {
  test(`two execs are two acts: ${title}`, (t) => {
    t.not(execAct(t, one), execAct(t, other))
  })
}

const equal: [title: string, one: Given, other: Given][] = [
  [
    'the same command by the same user, in another process',
    {},
    { id: 'f', by: byProgram('/usr/bin/docker', { pid: 9, argv: ['docker', 'x'], ancestors: [] }) },
  ],
  ['root however it is written', { settings: { user: '' } }, { settings: { user: '0:0' } }],
  ['a program that was upgraded while it ran', {}, { by: byProgram('/usr/bin/docker (deleted)') }],
  ['a login user, whatever its rights are now', {}, { by: byProgram('/usr/bin/docker', { user: 'alice' }) }],
  ['one address from two ports', { by: remote('[::1]:40000') }, { by: remote('[::1]:40001') }],
  [
    'a caller identified by its request and by its command line',
    {},
    { by: { ...alice, confidence: 'argv' } },
  ],
  ['callers of which nothing is known', { by: null }, { by: unknown }],
]

for (const [title, one, other] of equal) {
  test(`two execs are one act repeated: ${title}`, (t) => {
    t.is(execAct(t, one), execAct(t, other))
  })
}

test('an update has the act with what is known now', (t) => {
  const exec = sampleExec({ argv: shell })
  const { container, time, execId } = exec
  const late: Observation = { kind: 'exec-caller', container, time, execId, caller: mallory }
  const end: Observation = { kind: 'exec-ended', container, time, execId, exitCode: 0 }
  const [first, updated, ended] = detectionsOf(t, exec, late, end)
  t.like(first, { subject: shell, targetUser: 'root' })
  t.is(first?.actor, undefined)
  t.like(updated, { isUpdate: true, actor: 'mallory with /usr/bin/docker' })
  t.is(actOf(updated!), execAct(t, { by: mallory }))
  t.is(actOf(ended!), actOf(updated!))
})

const nsenter = sampleEnteringProcess(['nsenter', '-t', '1'])

function entryAct(
  t: ExecutionContext,
  {
    by = [nsenter],
    pid = 5_000,
    ...process
  }: { by?: (typeof nsenter)[] } & Partial<ProcessObservation['process']>,
): string {
  const entry = { pid, startTicks: 100, startedAt: 1_999_990 }
  const seen = sampleProcess({
    process: { argv: ['sh'], exe: '/bin/sh', ...process, ...entry },
    origin: { via: 'entered', entry, execId: '', by },
  })
  return actOf(detectionsOf(t, seen).at(0) ?? t.fail())
}

test('entries without Docker differ by command, file, user and who entered, and not by process', (t) => {
  const first = entryAct(t, {})
  const others = [
    entryAct(t, { argv: ['sh', '-c', 'id'] }),
    entryAct(t, { exe: '/tmp/sh' }),
    entryAct(t, { containerUid: 0 }),
    entryAct(t, { by: [{ ...nsenter, loginUser: 'alice' }] }),
    entryAct(t, { by: [sampleEnteringProcess(['chroot', '/proc/1/root'])] }),
    entryAct(t, { by: [{ ...nsenter, containerId: 'd'.repeat(64) }] }),
  ]
  t.is(new Set([first, ...others]).size, 7)
  t.is(entryAct(t, { pid: 6_000, by: [{ ...nsenter, pid: 9, argv: ['nsenter', '-t', '2'] }] }), first)
})

test('escapes differ by command, file, place and who caused them, and not by process', (t) => {
  const alicesShell = sampleEnteringProcess(['-bash'], { loginUser: 'alice' })
  const escapeAct = (what: Partial<Parameters<typeof sampleProcess>[0]> = {}) =>
    actOf(detectionsOf(t, sampleProcess({ hostFiles: 'root', ...what })).at(0) ?? t.fail())
  const first = escapeAct()
  const others = [
    escapeAct({ process: { argv: ['/app', '--evil'] } }),
    escapeAct({ process: { exe: '/tmp/app' } }),
    escapeAct({ process: { uid: 0 } }),
    escapeAct({ hostFiles: 'mount-namespace' }),
    escapeAct({ lineage: [nsenter, alicesShell] }),
  ]
  t.is(new Set([first, ...others]).size, 6)
  t.is(escapeAct({ process: { pid: 9, startTicks: 7 } }), first)
})

test('no copy repeats another, because neither path nor caller is known', (t) => {
  const copy = (timeNano: bigint) =>
    actOf(detectionsOf(t, dockerEvent('extract-to-dir', { timeNano })).at(0) ?? t.fail())
  t.not(copy(1n), copy(2n))
})
