import test from 'ava'
import { ReplaySubject } from 'rxjs'
import { TestScheduler } from 'rxjs/testing'
import type { Observed } from '../../../agent/model/detector.ts'
import type { Detection } from '../../../agent/model/finding.ts'
import type {
  ContainerObservation,
  ExecObservation,
  Observation,
  Process,
  ProcessObservation,
  RuntimeFileObservation,
  RuntimeFileOpened,
} from '../../../agent/model/observation.ts'
import { observationsByKind } from '../../../agent/daemon/pipeline.ts'
import { isOwnExecutable } from '../../../detectors/runtime-path-write/attempt-steps.ts'
import { overwriteAttempts } from '../../../detectors/runtime-path-write/overwrite-attempt.ts'
import { emptyMemory, silent } from '../../support/observed.ts'
import { sampleContainer, sampleExec, sampleProcess, sampleSourceStatus } from '../../support/samples.ts'

const runcFile = { device: 8, inode: 77 }
const runc = {
  kind: 'runtime-file',
  time: 1_000,
  change: 'found',
  path: '/usr/sbin/runc',
  before: null,
  after: { ...runcFile, sizeBytes: 1, mode: 0o755, uid: 0, gid: 0, sha256: 'aa' },
  writer: null,
  container: null,
} as RuntimeFileObservation
const ebpf = sampleSourceStatus()
const procfs = sampleSourceStatus({ mode: 'procfs' })

/** The detections for these observations, in order. */
function detectionsOf(
  observations: readonly Observation[],
  before: readonly Observation[] = [ebpf, runc],
): Detection[] {
  const observations$ = new ReplaySubject<Observation>()
  const detections: Detection[] = []
  const observed: Observed = {
    ...silent,
    ...observationsByKind(observations$),
    memory: emptyMemory(),
  }
  new TestScheduler(() => undefined).run(({ flush }) => {
    const subscription = overwriteAttempts(observed).subscribe((detection) => detections.push(detection))
    for (const observation of [...before, ...observations]) {
      observations$.next(observation)
      flush()
    }
    subscription.unsubscribe()
  })
  return detections
}

const isReported = (seen: Observation, before?: readonly Observation[]) =>
  detectionsOf([seen], before).length === 1

/** The first process of the container web-1, which executes the host's runtime. */
function ran(process: Partial<Process> = {}, rest: Partial<ProcessObservation> = {}): ProcessObservation {
  const runtime = {
    pid: 4_200,
    exe: '/',
    exeFile: runcFile,
    argv: ['/proc/self/exe', '/bin/entry'],
    ...process,
  }
  return sampleProcess({ process: runtime, ...rest })
}

test('executing the runtime instead of a program is an attempt, whatever its name', (t) => {
  const [detection, ...more] = detectionsOf([ran()])
  t.deepEqual(more, [])
  t.like(detection, {
    rule: 'overwrite-attempt',
    summary: 'web-1 executed the host’s runtime instead of its own program: `/proc/self/exe /bin/entry`',
    evidence: { executed: { pid: 4_200, program: '/', argv: ['/proc/self/exe', '/bin/entry'] } },
  })
  for (const argv of [['runc', 'init'], ['/bin/sh'], []]) t.true(isReported(ran({ argv })), argv.join(' '))
  for (const exe of ['/usr/sbin/runc', '/', '/usr/sbin/runc (deleted)']) t.true(isReported(ran({ exe })), exe)
})

test('normal runtimes, nested ones and sandboxes are not attempts', (t) => {
  const mounts = [{ type: 'bind', source: '/usr/sbin', destination: '/host/sbin', writable: false }]
  const entered = (pid: number) => ({
    via: 'entered' as const,
    entry: { pid, startTicks: 100, startedAt: 1_999_990 },
    execId: 'e'.repeat(64),
    by: [],
  })
  const rows: [string, ProcessObservation, (readonly Observation[])?][] = [
    [
      'the container’s own program',
      ran({ exe: '/bin/app', exeFile: { device: 50, inode: 77 }, argv: ['app'] }),
    ],
    ['docker run --init', ran({ exe: '/sbin/docker-init', argv: ['/sbin/docker-init', '--', 'app'] })],
    [
      'a runtime that was mounted',
      ran(
        { exe: '/host/sbin/runc', argv: ['runc', 'list'] },
        { container: sampleContainer({ details: { mounts } }) },
      ),
    ],
    ['a runtime that is entering, found in /proc', ran({ argv: ['runc', 'init'] }, { change: 'found' })],
    [
      'the runtime of an exec that is entering, found in /proc',
      ran({ argv: ['runc', 'init'] }, { change: 'found', origin: entered(4_200) }),
    ],
    ['a runtime that is entering, without eBPF', ran({ argv: ['runc', 'init'] }), [procfs, runc]],
    ['a change of its ids', ran({}, { change: 'ids-changed' })],
    ['a process that escaped to the host', ran({}, { hostFiles: 'mount-namespace' })],
    ['gVisor', ran({}, { container: sampleContainer({ details: { runtime: 'runsc' } }) })],
    ['gVisor by another name', ran({ exe: '/usr/local/bin/runsc' })],
    [
      'Chrome, which executes itself',
      ran({
        pid: 5_000,
        exe: '/opt/chrome',
        exeFile: { device: 50, inode: 1 },
        argv: ['/proc/self/exe', '--type=zygote'],
      }),
    ],
    ['a process without a known file', ran({ exeFile: null, exe: '', argv: ['app'] })],
  ]
  for (const [what, seen, before] of rows) t.false(isReported(seen, before), what)
})

test('a sealed copy of the runtime is an attempt, unless a runtime inside the container made it', (t) => {
  const copy = { exe: '/memfd:runc_cloned:/proc/self/exe (deleted)', exeFile: { device: 1, inode: 9 } }
  t.true(isReported(ran({ ...copy, argv: ['/proc/self/exe', '/bin/entry'] })))
  t.true(isReported(ran({ ...copy, pid: 5_000, parentPid: 4_200, argv: ['x'] })))
  // Docker-in-Docker: dockerd, containerd-shim and runc are files of the container.
  const own = (process: Partial<Process>) => ran({ exeFile: { device: 50, inode: 3 }, ...process })
  const nested = [
    own({ pid: 4_200, exe: '/usr/local/bin/dockerd', argv: ['dockerd'] }),
    own({ pid: 5_000, exe: '/usr/local/bin/runc', argv: ['runc', 'create'] }),
    own({ pid: 5_001, parentPid: 5_000, exe: '/usr/local/bin/runc', argv: ['runc', 'init'] }),
    ran({ ...copy, pid: 5_001, parentPid: 5_000, argv: ['runc', 'init'] }),
    own({ pid: 5_001, parentPid: 5_000, exe: '/bin/inner', argv: ['inner'] }),
    // Since 1.2, runc copies itself before it forks.
    ran({ ...copy, pid: 5_002, parentPid: 5_000, argv: ['runc', 'init'] }),
    own({ pid: 6_000, exe: '/usr/bin/buildkit-runc', argv: ['buildkit-runc', 'run'] }),
    ran({ ...copy, pid: 6_001, parentPid: 6_000, argv: ['runc', 'init'] }),
  ]
  t.deepEqual(detectionsOf(nested), [])
})

test('a /proc/self/exe executed before any program of the container is the runtime, wherever its file is', (t) => {
  const sealed = { exe: '/runc', exeFile: { device: 60, inode: 5 } }
  t.true(isReported(ran(sealed)))
  t.false(isReported(ran(sealed), [procfs, runc]), 'an earlier program may have been missed')
  const lost: Observation = {
    kind: 'events-lost',
    time: 1_999_000,
    source: 'processes',
    reason: 'ring-full',
    count: 1,
  }
  t.false(isReported(ran(sealed), [ebpf, runc, lost]), 'an earlier program may have been lost')
  const before = ran({ exe: '/bin/app', exeFile: { device: 50, inode: 1 }, argv: ['app'] })
  t.deepEqual(detectionsOf([before, ran(sealed)]), [], 'a program of the container that executes itself')
  const early = { container: sampleContainer({ details: { pid: 0 } }) }
  const child = { pid: 4_201, parentPid: 4_200, exe: '/opt/chrome', exeFile: { device: 50, inode: 1 } }
  t.deepEqual(
    detectionsOf([before, ran(child, early)]),
    [],
    'and one that does so before its container is known to be running',
  )
})

const created = (command: string[], id = 'a'): ContainerObservation => ({
  kind: 'container',
  time: 1_990_000,
  action: 'created',
  container: sampleContainer({ id: id.repeat(64), details: { command, pid: 0 } }),
  exitCode: null,
  previousName: null,
})
const opened = (what: Partial<RuntimeFileOpened> = {}): RuntimeFileOpened => ({
  kind: 'runtime-file-opened',
  time: 2_000_000,
  path: '/usr/sbin/runc',
  container: sampleContainer(),
  opener: { pid: 4_300, uid: 0, exe: '/bin/cat', argv: ['cat', '/proc/77/exe'] },
  startTicks: 500,
  byRuntime: false,
  ...what,
})

test('an entry point or exec that refers to the runtime is an attempt before it runs', (t) => {
  t.like(detectionsOf([created(['/proc/self/exe', 'init'])]), [
    {
      summary: 'web-1 is configured to execute the runtime itself: `/proc/self/exe init`',
      eventKey: `entry-point:${'a'.repeat(64)}`,
    },
  ])
  t.like(detectionsOf([sampleExec({ argv: ['/proc/self/exe'] })]), [
    {
      summary: 'an exec in web-1 requested the runtime itself: `/proc/self/exe`',
      evidence: { requested: { exec_id: 'e'.repeat(64) } },
    },
  ])
  t.true(isReported(sampleExec({ argv: ['/proc/self/exe init'], exact: false, settings: null })))
  t.deepEqual(detectionsOf([created(['/bin/sh']), created([], 'b'), sampleExec()]), [])
})

test('only paths in /proc refer to the executable of the process that opens them', (t) => {
  const rows: [string, boolean][] = [
    ['/proc/self/exe', true],
    ['//proc//self/exe', true],
    ['/proc/thread-self/exe', true],
    ['/proc/1/exe', true],
    ['/proc/self/task/7/exe', true],
    ['/proc/self/exe2', false],
    ['/bin/proc/self/exe', false],
    ['proc/self/exe', false],
    ['', false],
  ]
  for (const [path, is] of rows) t.is(isOwnExecutable(path), is, path)
})

test('opening the runtime from a container is an attempt, unless the container sees all processes of the host', (t) => {
  t.like(detectionsOf([opened()]), [
    {
      summary: 'cat (pid 4300) in web-1 opened the runtime /usr/sbin/runc through /proc',
      subject: ['/bin/cat', '/usr/sbin/runc'],
    },
  ])
  const profiler = sampleContainer({ details: { pidMode: 'host' } })
  t.deepEqual(detectionsOf([opened({ container: profiler })]), [])
  t.is(detectionsOf([opened({ container: profiler, byRuntime: true })]).length, 1)
})

test('the steps of one attack are one finding; each step is added once', (t) => {
  const exec: ExecObservation = sampleExec({ argv: ['/proc/self/exe'], time: 1_999_990 })
  const byRuntime = opened({
    byRuntime: true,
    time: 2_000_000,
    startTicks: 100,
    opener: { pid: 4_200, uid: 0, exe: '/', argv: ['runc', 'init'] },
  })
  const detections = detectionsOf([
    exec,
    byRuntime,
    ran(),
    opened({ time: 2_000_100 }),
    opened({ time: 2_000_200 }),
  ])
  t.deepEqual(
    detections.map(({ eventKey, isUpdate = false, evidence }) => [eventKey, isUpdate, Object.keys(evidence)]),
    [
      [`exec:${'a'.repeat(64)}:${'e'.repeat(64)}`, false, ['requested']],
      [`exec:${'a'.repeat(64)}:${'e'.repeat(64)}`, true, ['opened']],
      [`exec:${'a'.repeat(64)}:${'e'.repeat(64)}`, true, ['executed']],
    ],
  )
  t.is(new Set(detections.map(({ summary }) => summary)).size, 1)
})

test('another container, and the same one after a minute, is another attack', (t) => {
  const other = sampleContainer({ id: 'b'.repeat(64), name: 'web-2' })
  const acts = detectionsOf([
    opened(),
    opened({ container: other }),
    opened({ time: 2_061_000, startTicks: 900 }),
  ]).map(({ eventKey }) => eventKey)
  t.is(new Set(acts).size, 3)
})

test('a replaced runtime file is recognised by its new inode', (t) => {
  const after = { ...(runc.after ?? t.fail()), inode: 78 }
  const before = [ebpf, runc, { ...runc, change: 'replaced' as const, after }]
  t.false(isReported(ran(), before) && isReported(ran({ argv: ['x'] }), before))
  t.true(isReported(ran({ exeFile: { device: 8, inode: 78 }, argv: ['x'] }), before))
})
