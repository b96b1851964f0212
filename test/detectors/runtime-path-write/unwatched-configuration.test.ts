import test from 'ava'
import { Subject } from 'rxjs'
import type { Memory } from '../../../agent/model/detector.ts'
import type { Detection } from '../../../agent/model/finding.ts'
import type {
  FileState,
  PackageFile,
  RuntimeFileObservation,
  SourceStatus,
} from '../../../agent/model/observation.ts'
import { unwatchedConfiguration } from '../../../detectors/runtime-path-write/unwatched-configuration.ts'
import { emptyMemory, observing } from '../../support/observed.ts'
import { sampleFileState, sampleRuntimeFile, sampleSourceStatus } from '../../support/samples.ts'

const path = '/etc/docker/daemon.json'
const dropIn = '/etc/systemd/system/docker.service.d/evil.conf'
const before = sampleFileState
const other: FileState = { ...before, sha256: 'bb', text: 'secret' }

type Found = { path: string; after: FileState | null; package?: PackageFile | null }

/** One run of the daemon: what it finds at start, what happens then, and the detections for both. */
function run(
  memory: Memory,
  found: readonly Found[],
  later: readonly Partial<RuntimeFileObservation>[] = [],
) {
  const runtimeFiles$ = new Subject<RuntimeFileObservation>()
  const sourceStatuses$ = new Subject<SourceStatus>()
  const detections: Detection[] = []
  unwatchedConfiguration(
    observing({ 'runtime-file': runtimeFiles$, 'source-status': sourceStatuses$ }, { memory }),
  ).subscribe((one) => detections.push(one))
  const emit = (seen: Partial<RuntimeFileObservation>) =>
    runtimeFiles$.next(
      sampleRuntimeFile({ file: 'configuration', path, before: null, writer: null, ...seen }),
    )
  for (const { package: _, ...file } of found) emit({ change: 'found', ...file })
  sourceStatuses$.next(sampleSourceStatus({ source: 'runtime-files', up: true }))
  for (const file of found) if (file.after !== null) emit({ package: null, change: 'verified', ...file })
  for (const seen of later) emit(seen)
  return detections.map(({ rule, evidence }) => ({ rule, evidence }))
}

/** The detections at the second start. */
function secondStart(
  first: readonly Found[],
  second: readonly Found[],
  between: readonly Partial<RuntimeFileObservation>[] = [],
) {
  const memory = emptyMemory()
  run(memory, first, between)
  const detections = run(memory, second)
  // A third start must not report it again.
  return { detections, again: run(memory, second) }
}

const rows: [string, Found[], Found[], string | null][] = [
  ['as it was', [{ path, after: before }], [{ path, after: before }], null],
  ['changed', [{ path, after: before }], [{ path, after: other }], 'written'],
  [
    'given to another owner',
    [{ path, after: before }],
    [{ path, after: { ...before, uid: 12 } }],
    'attributes',
  ],
  ['in another inode', [{ path, after: before }], [{ path, after: { ...before, inode: 99 } }], null],
  ['created where there was none', [{ path, after: null }], [{ path, after: other }], 'replaced'],
  ['removed', [{ path, after: before }], [{ path, after: null }], 'removed'],
  ['still absent', [{ path, after: null }], [{ path, after: null }], null],
  [
    'added to a unit',
    [{ path, after: before }],
    [
      { path, after: before },
      { path: dropIn, after: other },
    ],
    'replaced',
  ],
  ['removed from a unit', [{ path: dropIn, after: before }], [], 'removed'],
  ['no longer in use', [{ path: '/opt/containerd.toml', after: before }], [], null],
  ['found by a daemon on its first start', [], [{ path, after: before }], null],
]
for (const [what, first, second, change] of rows) {
  test(`a configuration ${what} while tidewatch was not watching is ${change === null ? 'not reported' : `reported once as ${change}`}`, (t) => {
    const { detections, again } = secondStart(first, second)
    t.deepEqual(
      detections.map(({ rule, evidence }) => [rule, evidence['change']]),
      change === null ? [] : [['breakout-file-changed', change]],
    )
    t.deepEqual(again, [])
  })
}

test('a configuration that its package has updated is not reported', (t) => {
  const runc = { manager: 'dpkg', name: 'docker.io', version: '2', matches: true } as const
  t.deepEqual(secondStart([{ path, after: before }], [{ path, after: other, package: runc }]).detections, [])
  const edited = { ...runc, matches: false }
  t.is(secondStart([{ path, after: before }], [{ path, after: other, package: edited }]).detections.length, 1)
})

test('a change while watching is not reported again at the next start', (t) => {
  const changed = { change: 'written', before, after: other } as const
  t.deepEqual(secondStart([{ path, after: before }], [{ path, after: other }], [changed]).detections, [])
  const removed = { change: 'removed', before, after: null } as const
  t.deepEqual(
    secondStart([{ path: dropIn, after: before }], [], [{ ...removed, path: dropIn }]).detections,
    [],
  )
})

test('the finding has both digests and no writer; no line is stored', (t) => {
  const memory = emptyMemory()
  run(memory, [{ path, after: other }])
  t.deepEqual(run(memory, [{ path, after: before }]), [
    {
      rule: 'breakout-file-changed',
      evidence: {
        path,
        change: 'written',
        unwatched: true,
        sha256_before: 'bb',
        sha256_after: before.sha256,
      },
    },
  ])
  t.false(memory.keys('').some((key) => memory.get(key)?.includes('secret')))
})

test('programs and sockets are ignored', (t) => {
  const memory = emptyMemory()
  run(
    memory,
    [],
    [
      { file: 'socket', change: 'found', after: before },
      { file: 'binary', change: 'found', after: before },
    ],
  )
  t.deepEqual(memory.keys(''), [])
})
