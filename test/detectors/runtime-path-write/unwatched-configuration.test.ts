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
import { emptyMemory } from '../../support/observed.ts'
import { sampleFileState, sampleRuntimeFile, sampleSourceStatus } from '../../support/samples.ts'

const path = '/etc/docker/daemon.json'
const dropIn = '/etc/systemd/system/docker.service.d/evil.conf'
const before = sampleFileState
const other: FileState = { ...before, sha256: 'bb', text: 'secret' }

type Found = { path: string; after: FileState | null; package?: PackageFile | null }

/** One life of the daemon: what it finds at start, what happens then, and what is said of both. */
function life(
  memory: Memory,
  found: readonly Found[],
  later: readonly Partial<RuntimeFileObservation>[] = [],
) {
  const runtimeFiles$ = new Subject<RuntimeFileObservation>()
  const sourceStatuses$ = new Subject<SourceStatus>()
  const detections: Detection[] = []
  unwatchedConfiguration({ runtimeFiles$, sourceStatuses$, memory }).subscribe((one) => detections.push(one))
  const tell = (seen: Partial<RuntimeFileObservation>) =>
    runtimeFiles$.next(
      sampleRuntimeFile({ file: 'configuration', path, before: null, writer: null, ...seen }),
    )
  for (const { package: _, ...file } of found) tell({ change: 'found', ...file })
  sourceStatuses$.next(sampleSourceStatus({ source: 'runtime-files', up: true }))
  for (const file of found) if (file.after !== null) tell({ package: null, change: 'verified', ...file })
  for (const seen of later) tell(seen)
  return detections.map(({ rule, evidence }) => ({ rule, evidence }))
}

/** What is said at the second start. */
function said(
  first: readonly Found[],
  second: readonly Found[],
  between: readonly Partial<RuntimeFileObservation>[] = [],
) {
  const memory = emptyMemory()
  life(memory, first, between)
  const detections = life(memory, second)
  // Once is enough.
  return { detections, again: life(memory, second) }
}

const rows: [string, Found[], Found[], string | null][] = [
  ['as it was', [{ path, after: before }], [{ path, after: before }], null],
  ['changed', [{ path, after: before }], [{ path, after: other }], 'written'],
  ['given to another', [{ path, after: before }], [{ path, after: { ...before, uid: 12 } }], 'attributes'],
  ['in another inode', [{ path, after: before }], [{ path, after: { ...before, inode: 99 } }], null],
  ['made where none was', [{ path, after: null }], [{ path, after: other }], 'replaced'],
  ['removed', [{ path, after: before }], [{ path, after: null }], 'removed'],
  ['not there, as before', [{ path, after: null }], [{ path, after: null }], null],
  [
    'added to a unit',
    [{ path, after: before }],
    [
      { path, after: before },
      { path: dropIn, after: other },
    ],
    'replaced',
  ],
  ['taken from a unit', [{ path: dropIn, after: before }], [], 'removed'],
  ['not used any more', [{ path: '/opt/containerd.toml', after: before }], [], null],
  ['found by a daemon that has never run', [], [{ path, after: before }], null],
]
for (const [what, first, second, change] of rows) {
  test(`a configuration ${what} while nobody watched is ${change === null ? 'nothing' : `“${change}”, once`}`, (t) => {
    const { detections, again } = said(first, second)
    t.deepEqual(
      detections.map(({ rule, evidence }) => [rule, evidence['change']]),
      change === null ? [] : [['breakout-file-changed', change]],
    )
    t.deepEqual(again, [])
  })
}

test('a configuration that its package has brought since is nothing', (t) => {
  const runc = { manager: 'dpkg', name: 'docker.io', version: '2', matches: true } as const
  t.deepEqual(said([{ path, after: before }], [{ path, after: other, package: runc }]).detections, [])
  const edited = { ...runc, matches: false }
  t.is(said([{ path, after: before }], [{ path, after: other, package: edited }]).detections.length, 1)
})

test('what was changed while it was watched is told then, and not at the next start', (t) => {
  const changed = { change: 'written', before, after: other } as const
  t.deepEqual(said([{ path, after: before }], [{ path, after: other }], [changed]).detections, [])
  const removed = { change: 'removed', before, after: null } as const
  t.deepEqual(said([{ path: dropIn, after: before }], [], [{ ...removed, path: dropIn }]).detections, [])
})

test('both digests stand in the finding, and nobody’s name; no line is kept', (t) => {
  const memory = emptyMemory()
  life(memory, [{ path, after: other }])
  t.deepEqual(life(memory, [{ path, after: before }]), [
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

test('programs and sockets are not concerned', (t) => {
  const memory = emptyMemory()
  life(
    memory,
    [],
    [
      { file: 'socket', change: 'found', after: before },
      { file: 'binary', change: 'found', after: before },
    ],
  )
  t.deepEqual(memory.keys(''), [])
})
