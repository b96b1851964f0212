import test, { type ExecutionContext } from 'ava'
import { filter, ignoreElements, map, merge, tap } from 'rxjs'
import { execLedger } from '../../../agent/exec-ledger/ledger.ts'
import type { Detection } from '../../../agent/model/finding.ts'
import type {
  DockerEvent,
  ExecEnded,
  ExecObservation,
  FileOrigin,
  ProcessObservation,
} from '../../../agent/model/observation.ts'
import { isRuntimeInit, unexpectedRootProcess } from '../../../detectors/unexpected-root-process/index.ts'
import { dockerEvent } from '../../support/docker-event.ts'
import { marbles } from '../../support/marbles.ts'
import { emptyMemory, silent } from '../../support/observed.ts'
import { sampleBringer, sampleContainer, sampleExec, sampleProcess } from '../../support/samples.ts'

const container = sampleContainer({ details: { user: '1000' } })
const seen = (rest: Parameters<typeof sampleProcess>[0] = {}) => sampleProcess({ container, ...rest })
const root = { containerUid: 0, containerEuid: 0 }

test('the runtime’s own init is known by its file and its argument', (t) => {
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
const execOfNobodyKnows = sampleExec({ container, time: 10_000, settings: null })
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

/** Runs what is seen through the detector, which lets things settle for 5 frames; `F` is a finding. */
function detects(t: ExecutionContext, diagram: string, values: Record<string, Seen>, expected: string): void {
  marbles(t, ({ hot, expectObservable }) => {
    const all$ = hot<Seen>(diagram, values)
    const execs = execLedger(emptyMemory())
    const detections$ = unexpectedRootProcess.detect(
      {
        ...silent,
        memory: emptyMemory(),
        processes$: all$.pipe(filter((one) => one.kind === 'process')),
        execs,
      },
      { settle: 5, learn_for: 1_000_000 },
    )
    const noted$ = all$.pipe(tap(execs.observe), ignoreElements())
    expectObservable(merge(noted$, detections$.pipe(map(({ rule }) => letters[rule])))).toBe(expected)
  })
}

test('a root process below the container’s own init is reported', (t) => {
  detects(t, 'p', { p: byInit }, '-----F')
})

test('an exec as root does not explain what the container’s own processes do', (t) => {
  detects(t, 'ep', { e: rootExec, p: byInit }, '------F')
})

test('a root process that entered is explained by an exec as root, also when that is known later', (t) => {
  detects(t, 'ep', { e: rootExec, p: byEntering }, '')
  detects(t, 'p--e', { e: rootExec, p: byEntering }, '')
  detects(t, 'p-----e', { e: rootExec, p: byEntering }, '')
  detects(t, 'p 600ms e', { e: rootExec, p: byEntering }, '505ms F')
})

test('an exec as another user does not explain root; one that nobody could ask about does', (t) => {
  detects(t, 'ep', { e: execOf1000, p: byEntering }, '------F')
  detects(t, 'ep', { e: execOfNobodyKnows, p: byEntering }, '')
})

test('an exec explains only what entered its own container while it ran', (t) => {
  detects(t, 'ep', { e: { ...rootExec, container: otherContainer }, p: byEntering }, '506ms F')
  detects(t, 'exp', { e: { ...rootExec, time: 5_000 }, x: ended(8_000), p: byEntering }, '507ms F')
  detects(t, 'exp', { e: { ...rootExec, time: 5_000 }, x: ended(10_500), p: byEntering }, '')
  detects(t, 'ep', { e: { ...rootExec, time: 12_000 }, p: byEntering }, '506ms F')
})

test('an exec that is known by its id explains its own processes and no others', (t) => {
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

test('an exec that was only announced is judged when its user is known, within 10 s', (t) => {
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
  // As root for all that is known.
  detects(t, 'ap', { a: announced, p: entered }, '')
})

test('root of who came in as root is part of his entry, and waits for that to be told', (t) => {
  const key = { pid: 77, startTicks: 1, startedAt: 10_000 }
  const from = (by = [sampleBringer(['nsenter', '-t', '1'])]) =>
    ({ via: 'entered', entry: key, execId: '', by }) as const
  const entry = seen({ process: { ...root, ...key }, origin: from() })
  const child = seen({ process: { ...root, pid: 78 }, origin: from() })
  const asUser = seen({ process: { containerUid: 1_000, containerEuid: 1_000, ...key }, origin: from() })
  const ofNobody = seen({ process: { ...root, ...key }, origin: from([]) })
  const partOf = { rule: 'untracked-exec', act: `${container.id}:77:1` }
  const table: [string, string, Record<string, Seen>, string][] = [
    ['the entry and what it runs', 'ab', { a: entry, b: child }, '2505ms EE'],
    ['what entered as somebody else', 'ab', { a: asUser, b: child }, '506ms F'],
    ['what nobody is known to have brought', 'a', { a: ofNobody }, '505ms F'],
    ['an exec that becomes known while it waits', 'a 1s e', { a: entry, e: rootExec }, ''],
    ['one of another user', 'a 1s e', { a: entry, e: execOf1000 }, '2505ms F'],
  ]
  for (const [what, diagram, values, expected] of table) {
    marbles(t, ({ hot, expectObservable }) => {
      const all$ = hot<Seen>(diagram, values)
      const execs = execLedger(emptyMemory())
      const processes$ = all$.pipe(filter((one) => one.kind === 'process'))
      const detections$ = unexpectedRootProcess.detect(
        { ...silent, memory: emptyMemory(), processes$, execs, entriesToldAfter: () => 2_000 },
        { settle: 5, learn_for: 1_000_000 },
      )
      const letterOf = (detection: Detection) => {
        if (detection.partOf === undefined) return 'F'
        t.deepEqual(detection.partOf, partOf, what)
        return 'E'
      }
      const noted$ = all$.pipe(tap(execs.observe), ignoreElements())
      expectObservable(merge(noted$, detections$.pipe(map(letterOf)))).toBe(expected)
    })
  }
})

test('ids that an exec of a setuid file changes are told with that exec, and as themselves where none comes', (t) => {
  const ids = { containerUid: 1_000, containerEuid: 0 }
  const changed = seen({ change: 'ids-changed', process: ids })
  const executed = seen({ process: ids, ...gain({ origin: 'image' }) })
  detects(t, 'c-e', { c: changed, e: executed }, '-------S')
  detects(t, 'c', { c: changed }, '2s F')
})

test('a setuid program of the image is told once for the image', (t) => {
  const used = (pid: number) =>
    seen({ process: { pid, containerUid: 1_000, containerEuid: 0 }, ...gain({ origin: 'image' }) })
  detects(t, 'a----b', { a: used(1), b: used(2) }, '-----S')
})

test('the runtime found on its way in is nothing, and what became of it is told when it runs', (t) => {
  const found = seen({
    change: 'found',
    container: sampleContainer({ details: { user: '1000', pid: 5_000 } }),
    process: { ...root, exe: '/', argv: ['runc', 'init'] },
  })
  detects(t, 'f', { f: found }, '')
})

test('the runtime’s init is nothing once it has become the container’s program, and something if it never does', (t) => {
  detects(t, 'i-p', { i: runtimeInit, p: program }, '')
  detects(t, 'i', { i: runtimeInit }, '10s F')
})

test('the finding names program, ids and the user that was configured', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const process = { ...root, pid: 7, uid: 100_000, exe: '/tmp/su', argv: ['su', '-'], startedAt: 12_340 }
    const processes$ = hot('p', { p: seen({ process }) })
    const detected$ = unexpectedRootProcess.detect(
      { ...silent, processes$ },
      { settle: 1, learn_for: 1_000_000 },
    )
    expectObservable(
      detected$.pipe(
        map(({ summary, subject, evidence }) => ({ summary, subject, evidence: { ...evidence } })),
      ),
    ).toBe('-d', {
      d: {
        summary: 'su runs as root in web-1, which is configured to run as 1000: su -',
        subject: ['/tmp/su'],
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
