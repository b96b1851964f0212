import test, { type ExecutionContext } from 'ava'
import { filter, ignoreElements, map, merge, tap } from 'rxjs'
import { execLedger } from '../../../agent/exec-ledger/ledger.ts'
import type { Detection } from '../../../agent/model/finding.ts'
import type {
  DockerEvent,
  ExecEnded,
  ExecObservation,
  FileOrigin,
  GainWay,
  ProcessObservation,
} from '../../../agent/model/observation.ts'
import { describe } from '../../../detectors/unexpected-root-process/describe.ts'
import { isRuntimeInit, unexpectedRootProcess } from '../../../detectors/unexpected-root-process/index.ts'
import { dockerEvent } from '../../support/docker-event.ts'
import { marbles } from '../../support/marbles.ts'
import { emptyMemory, observing } from '../../support/observed.ts'
import { sampleEnteringProcess, sampleContainer, sampleExec, sampleProcess } from '../../support/samples.ts'

const container = sampleContainer({ details: { user: '1000' } })
const seen = (rest: Parameters<typeof sampleProcess>[0] = {}) => sampleProcess({ container, ...rest })
const root = { containerUid: 0, containerEuid: 0 }

test('the runtime’s own init is recognised by its file and its argument', (t) => {
  const table: [string, string[], boolean][] = [
    ['/', ['runc', 'init'], true],
    ['/memfd:runc_cloned:/proc/self/exe (deleted)', ['runc', 'init'], true],
    ['/usr/sbin/runc', ['runc', 'init'], true],
    ['/usr/bin/docker-runc', ['runc', 'init'], true],
    ['/usr/bin/crun', ['crun', 'init'], true],
    ['/usr/sbin/runc', ['runc', 'exec'], false],
    ['/tmp/trunc', ['x', 'init'], false],
    ['/sbin/init', ['init'], false],
  ]
  for (const [exe, argv, expected] of table)
    t.is(isRuntimeInit(seen({ process: { exe, argv } }).process), expected, exe)
})

const byInit = seen({ process: root })
const byEntering = seen({
  process: root,
  origin: { via: 'entered', entry: { pid: 77, startTicks: 1, startedAt: 10_000 }, execId: '', by: [] },
})
const rootExec = sampleExec({ container, time: 10_000, settings: { user: '0' } })
const execOf1000 = sampleExec({ container, time: 10_000, settings: { user: '1000' } })
const execOfUnknownUser = sampleExec({ container, time: 10_000, settings: null })
const otherContainer = sampleContainer({ id: 'c'.repeat(64), details: { user: '1000' } })
const ended = (time: number): ExecEnded => ({
  kind: 'exec-ended',
  time,
  container,
  execId: 'e'.repeat(64),
  exitCode: 0,
})
const runtimeInit = seen({ process: { ...root, exe: '/', argv: ['runc', 'init'] } })
const program = seen({ process: { containerUid: 1000, containerEuid: 1000 } })

const letters: Record<string, string> = {
  'root-in-nonroot-container': 'F',
  'setuid-program': 'S',
  'privilege-escalation': 'P',
  'new-root-program': 'N',
}

/** What a process gained by running a setuid file. */
function gain({ origin }: { origin: FileOrigin }): Pick<ProcessObservation, 'gain' | 'file'> {
  const file = { origin, status: { owner: 0, mode: 0o4755, hasCapabilities: false } }
  const by = { pid: 5_000, startTicks: 100, exe: '/app' }
  const before = { uid: 1_000, euid: 1_000, capabilities: 0n }
  return { file, gain: { way: 'file', isNew: true, by, file, before } }
}

type Seen = ProcessObservation | ExecObservation | ExecEnded | DockerEvent

/** Runs observations through the detector with a settle time of 5 frames; `F` is a finding. */
function detects(t: ExecutionContext, diagram: string, values: Record<string, Seen>, expected: string): void {
  marbles(t, ({ hot, expectObservable }) => {
    const all$ = hot<Seen>(diagram, values)
    const execs = execLedger(emptyMemory())
    const detections$ = unexpectedRootProcess.detect(
      observing(
        { process: all$.pipe(filter((one) => one.kind === 'process')) },
        { memory: emptyMemory(), execs },
      ),
      { settle: 5, learn_for: 1_000_000 },
    )
    const observed$ = all$.pipe(tap(execs.observe), ignoreElements())
    expectObservable(merge(observed$, detections$.pipe(map(({ rule }) => letters[rule])))).toBe(expected)
  })
}

test('a root process below the container’s own init is reported', (t) => {
  detects(t, 'p', { p: byInit }, '-----F')
})

test('an exec as root does not explain what the container’s own processes do', (t) => {
  detects(t, 'ep', { e: rootExec, p: byInit }, '------F')
})

test('a root process that entered is explained by an exec as root, even one that is reported later', (t) => {
  detects(t, 'ep', { e: rootExec, p: byEntering }, '')
  detects(t, 'p--e', { e: rootExec, p: byEntering }, '')
  detects(t, 'p-----e', { e: rootExec, p: byEntering }, '')
  detects(t, 'p 600ms e', { e: rootExec, p: byEntering }, '505ms F')
})

test('an exec as another user does not explain root; one that could not be inspected does', (t) => {
  detects(t, 'ep', { e: execOf1000, p: byEntering }, '------F')
  detects(t, 'ep', { e: execOfUnknownUser, p: byEntering }, '')
})

test('an exec explains only processes that entered its own container while it ran', (t) => {
  detects(t, 'ep', { e: { ...rootExec, container: otherContainer }, p: byEntering }, '506ms F')
  detects(t, 'exp', { e: { ...rootExec, time: 5_000 }, x: ended(8_000), p: byEntering }, '507ms F')
  detects(t, 'exp', { e: { ...rootExec, time: 5_000 }, x: ended(10_500), p: byEntering }, '')
  detects(t, 'ep', { e: { ...rootExec, time: 12_000 }, p: byEntering }, '506ms F')
})

test('an exec identified by its id explains its own processes and no others', (t) => {
  const { execId } = rootExec
  const byExec = (id: string) =>
    seen({
      process: root,
      origin: { via: 'entered', entry: { pid: 77, startTicks: 1, startedAt: 10_500 }, execId: id, by: [] },
    })
  detects(t, 'ep', { e: rootExec, p: byExec(execId) }, '')
  detects(t, 'exp', { e: rootExec, x: ended(20_000), p: byExec(execId) }, '')
  detects(t, 'ep', { e: rootExec, p: byExec('another') }, '506ms F')
})

test('a process of an announced exec is judged when the exec’s user is known, within 10 s', (t) => {
  const { execId } = execOf1000
  const announced = dockerEvent('exec_start', {
    actorId: container.id,
    attributes: { execID: execId },
    time: 10_000,
  })
  const entered = seen({
    process: root,
    origin: { via: 'entered', entry: { pid: 77, startTicks: 1, startedAt: 10_500 }, execId, by: [] },
  })
  detects(t, 'ap 1s e', { a: announced, p: entered, e: execOf1000 }, '1006ms F')
  detects(t, 'ap 1s e', { a: announced, p: entered, e: rootExec }, '')
  // Without an answer the user counts as root.
  detects(t, 'ap', { a: announced, p: entered }, '')
})

test('root that entered from outside names its entry, and waits longer for the exec that explains it', (t) => {
  const key = { pid: 77, startTicks: 1, startedAt: 10_000 }
  const from = (by = [sampleEnteringProcess(['nsenter', '-t', '1'])]) =>
    ({ via: 'entered', entry: key, execId: '', by }) as const
  const entry = seen({ process: { ...root, ...key }, origin: from() })
  const child = seen({ process: { ...root, pid: 78 }, origin: from() })
  const asUser = seen({ process: { containerUid: 1_000, containerEuid: 1_000, ...key }, origin: from() })
  const ofUnknown = seen({ process: { ...root, ...key }, origin: from([]) })
  const table: [string, string, Record<string, Seen>, string][] = [
    ['the entry and what it runs', 'ab', { a: entry, b: child }, '2500ms EE'],
    ['an entry as another user', 'ab', { a: asUser, b: child }, '506ms F'],
    ['an entry by an unknown process', 'a', { a: ofUnknown }, '505ms F'],
    ['an exec reported in the meantime', 'a 1s e', { a: entry, e: rootExec }, ''],
    ['an exec reported after the wait', 'a 2200ms e', { a: entry, e: rootExec }, ''],
    ['an exec of another user', 'a 1s e', { a: entry, e: execOf1000 }, '2500ms F'],
  ]
  for (const [what, diagram, values, expected] of table) {
    marbles(t, ({ hot, expectObservable }) => {
      const all$ = hot<Seen>(diagram, values)
      const execs = execLedger(emptyMemory())
      const processes$ = all$.pipe(filter((one) => one.kind === 'process'))
      const detections$ = unexpectedRootProcess.detect(
        observing({ process: processes$ }, { memory: emptyMemory(), execs }),
        { settle: 5, learn_for: 1_000_000 },
      )
      const letterOf = (detection: Detection) => {
        if (detection.supersedingEventKey === undefined) return 'F'
        t.is(detection.supersedingEventKey, `${container.id}:77:1`, what)
        return 'E'
      }
      const observed$ = all$.pipe(tap(execs.observe), ignoreElements())
      expectObservable(merge(observed$, detections$.pipe(map(letterOf)))).toBe(expected)
    })
  }
})

test('ids changed by a setuid file are reported with its exec, and on their own if no exec follows', (t) => {
  const ids = { containerUid: 1_000, containerEuid: 0 }
  const changed = seen({ change: 'ids-changed', process: ids })
  const executed = seen({ process: ids, ...gain({ origin: 'image' }) })
  detects(t, 'c-e', { c: changed, e: executed }, '-------S')
  detects(t, 'c', { c: changed }, '2s F')
})

test('a setuid program of the image is reported once per image', (t) => {
  const used = (pid: number) =>
    seen({ process: { pid, containerUid: 1_000, containerEuid: 0 }, ...gain({ origin: 'image' }) })
  detects(t, 'a----b', { a: used(1), b: used(2) }, '-----S')
})

test('the runtime found on its way into a container is not reported', (t) => {
  const found = seen({
    change: 'found',
    container: sampleContainer({ details: { user: '1000', pid: 5_000 } }),
    process: { ...root, exe: '/', argv: ['runc', 'init'] },
  })
  detects(t, 'f', { f: found }, '')
})

test('the runtime’s init is not reported if it becomes the container’s program, and is if it never does', (t) => {
  detects(t, 'i-p', { i: runtimeInit, p: program }, '')
  detects(t, 'i', { i: runtimeInit }, '10s F')
})

test('the finding names the program, its ids and the configured user', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const process = { ...root, pid: 7, uid: 100_000, exe: '/tmp/su', argv: ['su', '-'], startedAt: 12_340 }
    const processes$ = hot('p', { p: seen({ process }) })
    const detected$ = unexpectedRootProcess.detect(observing({ process: processes$ }), {
      settle: 1,
      learn_for: 1_000_000,
    })
    expectObservable(
      detected$.pipe(
        map(({ summary, subject, evidence }) => ({ summary, subject, evidence: { ...evidence } })),
      ),
    ).toBe('-d', {
      d: {
        summary: 'su runs as root in web-1 (`su -`, web-1 is configured for uid 1000)',
        subject: ['su', '-', '/tmp/su', 'unknown'],
        evidence: {
          program: '/tmp/su',
          argv: ['su', '-'],
          pid: 7,
          parent_pid: 1,
          uid: 0,
          euid: 0,
          host_uid: 100_000,
          host_euid: 1_000,
          root_on_host: false,
          configured_user: '1000',
          started_at: '1970-01-01T00:00:12.340Z',
        },
      },
    })
  })
})

test('a summary says who gained what in which container', (t) => {
  const summaryOf = (rest: Parameters<typeof sampleProcess>[0], rule: string, beyond = 0n) =>
    describe(seen(rest), [rule], beyond).summary
  const process = { ...root, exe: '/tmp/su', argv: ['su', '-'] }
  const { file, gain: byFile } = gain({ origin: 'container' })
  const other = (way: GainWay) => ({ process, gain: { ...byFile!, way } })
  const ofImage = { process, ...gain({ origin: 'image' }) }
  const escalation = 'privilege-escalation'
  const table: [string, string][] = [
    [
      summaryOf({ process, file: file!, gain: byFile! }, escalation),
      '/tmp/su, created or changed inside the container, gave root through setuid in web-1 (`su -`)',
    ],
    [
      summaryOf(other('setuid-call'), escalation),
      'su gained root in web-1 by changing its ids, without running a program (`su -`)',
    ],
    [
      summaryOf(other('overwrite'), escalation),
      'su gained root in web-1 without a setuid program or setuid(2), as a kernel exploit does (`su -`)',
    ],
    [
      summaryOf({ process }, escalation, 1n),
      'su gained capabilities beyond the container’s configuration in web-1 (`su -`)',
    ],
    [
      summaryOf(ofImage, 'setuid-program'),
      'uid 1000 ran su, a setuid program of the image, in web-1 (`su -`)',
    ],
    [
      summaryOf({ process }, 'new-root-program'),
      'root ran `su -` in web-1 (first run of su as root in nginx:1.27)',
    ],
  ]
  for (const [summary, expected] of table) t.is(summary, expected)
})
