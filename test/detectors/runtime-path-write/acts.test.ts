import test from 'ava'
import type {
  BreakoutFileObservation,
  RuntimeFileObservation,
  RuntimeFileOpened,
} from '../../../agent/model/observation.ts'
import {
  configuredAttempt,
  openedAttempt,
  requestedAttempt,
} from '../../../detectors/runtime-path-write/attempt-steps.ts'
import { type Attempt, gatherAttempts } from '../../../detectors/runtime-path-write/attempts.ts'
import { breakoutFileDetection } from '../../../detectors/runtime-path-write/breakout-files.ts'
import { type Change, tampered, upgraded } from '../../../detectors/runtime-path-write/describe.ts'
import { actOf } from '../../support/acts.ts'
import {
  sampleCaller,
  sampleContainer,
  sampleExec,
  sampleFileState,
  sampleRuntimeFile,
  sampleWriter,
} from '../../support/samples.ts'

const writeAct = (what: Partial<RuntimeFileObservation> = {}) =>
  actOf(tampered(sampleRuntimeFile(what) as Change))

const writes: [title: string, other: Partial<RuntimeFileObservation>][] = [
  ['another file', { path: '/usr/bin/dockerd' }],
  ['other contents', { after: { ...sampleFileState, sha256: 'cc' } }],
  ['a chmod', { change: 'attributes', after: { ...sampleFileState, sha256: 'bb' } }],
  ['another mode', { after: { ...sampleFileState, sha256: 'bb', mode: 0o4755 } }],
  ['another owner', { after: { ...sampleFileState, sha256: 'bb', uid: 7 } }],
  ['a replacement', { change: 'replaced' }],
  ['a removal', { change: 'removed', after: null }],
  ['a container', { container: sampleContainer() }],
  ['an unknown writer', { writer: null }],
  ['another user', { writer: sampleWriter({ loginUser: 'mallory' }) }],
  ['another program', { writer: sampleWriter({ exe: '/tmp/sh' }) }],
]

for (const [title, other] of writes) {
  test(`two changes of a runtime file are two acts: ${title}`, (t) => {
    t.not(writeAct(other), writeAct())
  })
}

test('the same write again is a repeat, by any process of the writer’s program', (t) => {
  const again = sampleWriter({ pid: 9, argv: ['sh', '-c', 'other'], ancestors: [] })
  t.is(
    writeAct({ time: 7, writer: again, after: { ...sampleFileState, sha256: 'bb', inode: 99 } }),
    writeAct(),
  )
})

test('contents that become known later are part of the update’s act', (t) => {
  const early = tampered(sampleRuntimeFile({ after: { ...sampleFileState, sha256: '' } }) as Change)
  const update = tampered(sampleRuntimeFile({ isUpdate: true }) as Change)
  t.not(actOf(early), actOf(update))
  t.is(actOf(update), writeAct())
})

test('upgrades differ by package and versions, and accepted files by their contents', (t) => {
  const seen = sampleRuntimeFile({ change: 'replaced' }) as Change
  const upgrade = { versionBefore: '1', files: [seen.path], eventKey: 'x', isUpdate: false }
  const of = { manager: 'dpkg', name: 'runc', version: '2', matches: true } as const
  const first = actOf(upgraded(seen, of, upgrade))
  const others = [
    upgraded(seen, of, { ...upgrade, versionBefore: '3' }),
    upgraded(seen, { ...of, version: '4' }, upgrade),
    upgraded(seen, { ...of, name: 'docker.io' }, upgrade),
    upgraded(seen, null, upgrade),
    upgraded({ ...seen, after: { ...sampleFileState, sha256: 'cc' } }, null, upgrade),
  ].map(actOf)
  t.is(new Set([first, ...others]).size, 6)
  const second = upgraded({ ...seen, path: '/usr/bin/ctr' }, of, { ...upgrade, isUpdate: true })
  t.is(actOf(second), first, 'another file of the package')
})

const setting: BreakoutFileObservation = {
  ...{ kind: 'breakout-file', time: 1, file: 'core_pattern', path: '/proc/sys/kernel/core_pattern' },
  ...{ change: 'changed', before: 'core', after: '|/x', seenBy: 'bpf', container: sampleContainer() },
  ...{ writer: sampleWriter(), sinceBoot: 1e9 },
}

test('settings differ by value, outcome and writer', (t) => {
  const act = (what: Partial<BreakoutFileObservation> = {}) =>
    actOf(breakoutFileDetection({ ...setting, ...what }) ?? t.fail())
  const first = act()
  const others = [
    act({ path: '/mnt/core_pattern' }),
    act({ after: '|/y' }),
    act({ after: null }),
    act({ after: undefined }),
    act({ change: 'refused' }),
    act({ change: 'rewritten' }),
    act({ writer: sampleWriter({ exe: '/tmp/x' }) }),
    act({ container: sampleContainer({ id: 'd'.repeat(64) }) }),
  ]
  t.is(new Set([first, ...others]).size, 9)
  t.is(act({ time: 9, writer: sampleWriter({ pid: 1 }), before: '|/y' }), first)
})

const exec = sampleExec({ argv: ['/proc/self/exe'] })
const opener = { pid: 4_300, uid: 0, exe: '/bin/cat', argv: ['cat', '/proc/7/exe'] }
const open: RuntimeFileOpened = {
  ...{ kind: 'runtime-file-opened', time: 2_000_000, path: '/usr/sbin/runc', container: sampleContainer() },
  ...{ opener, startTicks: 100, byRuntime: false },
}

test('attempts within a minute are separate findings if command, program or actor differ', (t) => {
  const mallory = sampleCaller({ process: { ...sampleCaller().process!, loginUser: 'mallory' } })
  const rows: [one: Attempt | null, other: Attempt | null, title: string][] = [
    [requestedAttempt(exec, sampleCaller()), requestedAttempt(exec, mallory), 'two callers'],
    [requestedAttempt(exec), requestedAttempt({ ...exec, argv: ['/proc/self/exe', 'x'] }), 'two commands'],
    [openedAttempt(open), openedAttempt({ ...open, opener: { ...opener, exe: '/tmp/cat' } }), 'two programs'],
    [openedAttempt(open), openedAttempt({ ...open, path: '/usr/bin/containerd' }), 'two files'],
  ]
  for (const [one, other, title] of rows) {
    const { take } = gatherAttempts()
    const key = `${other?.key} again`
    const detections = [
      ...take(one!),
      ...take({ ...other!, key }),
      ...take({ ...other!, key: `${key} again` }),
    ]
    t.is(detections.length, 2, title)
    t.is(detections[1]?.isUpdate, undefined, title)
    t.is(new Set(detections.map(actOf)).size, 2, title)
    t.is(new Set(detections.map(({ eventKey }) => eventKey)).size, 2, title)
  }
})

test('a search of /proc is one attempt, whatever process it reads', (t) => {
  const { take } = gatherAttempts()
  const next = { ...open, opener: { ...opener, pid: 4_301, argv: ['cat', '/proc/8/exe'] } }
  t.is([...take(openedAttempt(open)!), ...take(openedAttempt(next)!)].length, 1)
})

test('containers configured for other commands are other attempts', (t) => {
  const configured = (command: string[]) =>
    configuredAttempt({
      ...{ kind: 'container', time: 1, action: 'created', exitCode: null, previousName: null },
      container: sampleContainer({ details: { command } }),
    })?.subject ?? t.fail()
  t.notDeepEqual(configured(['/proc/self/exe']), configured(['/proc/self/exe', 'x']))
})
