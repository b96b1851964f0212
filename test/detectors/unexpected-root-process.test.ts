import test, { type ExecutionContext } from 'ava'
import { filter, map } from 'rxjs'
import type { ExecEnded, ExecObservation, ProcessObservation } from '../../agent/model/observation.ts'
import {
  isRuntimeInit,
  isUnexpectedRoot,
  unexpectedRootProcess,
} from '../../detectors/unexpected-root-process.ts'
import { marbles } from '../support/marbles.ts'
import { silent } from '../support/observed.ts'
import { sampleContainer, sampleExec, sampleProcess } from '../support/samples.ts'

const container = sampleContainer({ details: { user: '1000' } })
const seen = (rest: Parameters<typeof sampleProcess>[0] = {}) => sampleProcess({ container, ...rest })
const root = { containerUid: 0, containerEuid: 0 }

test('root is unexpected where another user is configured', (t) => {
  const rootUser = sampleContainer({ details: { user: 'root' } })
  const unknown = sampleContainer({ details: null })
  const table: [string, Parameters<typeof sampleProcess>[0], boolean][] = [
    ['root', { process: root }, true],
    [
      'effective root, as a setuid program has it',
      { process: { containerUid: 1000, containerEuid: 0 } },
      true,
    ],
    ['real root with other effective rights', { process: { containerUid: 0, containerEuid: 1000 } }, true],
    ['the configured user', { process: { containerUid: 1000, containerEuid: 1000 } }, false],
    [
      'the host’s root, not the container’s',
      { process: { uid: 0, containerUid: 65_534, containerEuid: 65_534 } },
      false,
    ],
    ['root where root is configured', { container: rootUser, process: root }, false],
    ['root where nobody knows what is configured', { container: unknown, process: root }, false],
  ]
  for (const [what, process, expected] of table) t.is(isUnexpectedRoot(seen(process)), expected, what)
})

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

type Seen = ProcessObservation | ExecObservation | ExecEnded

/** Runs what is seen through the detector, which lets things settle for 5 frames; `F` is a finding. */
function detects(t: ExecutionContext, diagram: string, values: Record<string, Seen>, expected: string): void {
  marbles(t, ({ hot, expectObservable }) => {
    const all$ = hot<Seen>(diagram, values)
    const detections$ = unexpectedRootProcess.detect(
      {
        ...silent,
        processes$: all$.pipe(filter((one) => one.kind === 'process')),
        execs$: all$.pipe(filter((one) => one.kind === 'exec')),
        execEnds$: all$.pipe(filter((one) => one.kind === 'exec-ended')),
      },
      { settle: 5 },
    )
    expectObservable(
      detections$.pipe(map(({ rule }) => (rule === 'root-in-nonroot-container' ? 'F' : rule))),
    ).toBe(expected)
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
  detects(t, 'p-----e', { e: rootExec, p: byEntering }, '-----F')
})

test('an exec as another user does not explain root; one that nobody could ask about does', (t) => {
  detects(t, 'ep', { e: execOf1000, p: byEntering }, '------F')
  detects(t, 'ep', { e: execOfNobodyKnows, p: byEntering }, '')
})

test('an exec explains only what entered its own container while it ran', (t) => {
  detects(t, 'ep', { e: { ...rootExec, container: otherContainer }, p: byEntering }, '------F')
  detects(t, 'exp', { e: { ...rootExec, time: 5_000 }, x: ended(8_000), p: byEntering }, '-------F')
  detects(t, 'exp', { e: { ...rootExec, time: 5_000 }, x: ended(10_500), p: byEntering }, '')
  detects(t, 'ep', { e: { ...rootExec, time: 12_000 }, p: byEntering }, '------F')
})

test('the runtime’s init is nothing once it has become the container’s program, and something if it never does', (t) => {
  detects(t, 'i-p', { i: runtimeInit, p: program }, '')
  detects(t, 'i', { i: runtimeInit }, '10s F')
})

test('the finding names program, ids and the user that was configured', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const process = { ...root, pid: 7, uid: 100_000, exe: '/tmp/su', argv: ['su', '-'], startedAt: 12_340 }
    const processes$ = hot('p', { p: seen({ process }) })
    const detected$ = unexpectedRootProcess.detect({ ...silent, processes$ }, { settle: 1 })
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
          configured_user: '1000',
          started_at: '1970-01-01T00:00:12.340Z',
        },
      },
    })
  })
})
