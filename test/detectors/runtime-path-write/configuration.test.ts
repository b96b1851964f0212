import test from 'ava'
import { Subject } from 'rxjs'
import type { Detection } from '../../../agent/model/finding.ts'
import type { RuntimeFileObservation } from '../../../agent/model/observation.ts'
import { changedLines, configurationDetections } from '../../../detectors/runtime-path-write/configuration.ts'
import {
  sampleContainer,
  sampleDpkg,
  sampleFileState,
  sampleRuntimeFile,
  sampleWriter,
} from '../../support/samples.ts'
import { observing } from '../../support/observed.ts'

/** The detections for one observation. */
function detectionsOf(seen: Partial<RuntimeFileObservation>): Detection[] {
  const runtimeFiles$ = new Subject<RuntimeFileObservation>()
  const detections: Detection[] = []
  configurationDetections(observing({ 'runtime-file': runtimeFiles$ })).subscribe((detection) =>
    detections.push(detection),
  )
  runtimeFiles$.next(sampleRuntimeFile({ file: 'configuration', path: '/etc/docker/daemon.json', ...seen }))
  return detections
}

const before = sampleFileState
const dockerd = sampleWriter({ exe: '/usr/sbin/dockerd', argv: ['dockerd'] })
const systemd = sampleWriter({ pid: 1, exe: '/usr/lib/systemd/systemd', argv: ['/sbin/init'] })
const unknown = { writer: null }
const socket = { file: 'socket', path: '/run/docker.sock' } as const
const openToAll = { ...before, mode: 0o666 }

const rows: [string, Partial<RuntimeFileObservation>, string | null][] = [
  ['written on the host', {}, 'breakout-file-changed'],
  ['written by an unknown process', unknown, 'breakout-file-changed'],
  ['written in a container', { container: sampleContainer() }, 'breakout-file-changed-by-container'],
  ['created where there was none', { change: 'replaced', before: null }, 'breakout-file-changed'],
  ['removed', { change: 'removed', after: null }, 'breakout-file-changed'],
  ['given another owner', { change: 'attributes', after: { ...before, uid: 12 } }, 'breakout-file-changed'],
  ['written by the package manager', { writer: sampleDpkg }, null],
  [
    'written by the host’s package manager from a container',
    { writer: sampleDpkg, container: sampleContainer() },
    null,
  ],
  ['found', { change: 'found', before: null, writer: null }, null],
  ['still being written', { continued: true }, null],
  ['a program of the runtime', { file: 'binary' }, null],
  ['a socket recreated by the engine', { ...socket, change: 'replaced', writer: dockerd }, null],
  ['a socket recreated by systemd', { ...socket, change: 'replaced', writer: systemd }, null],
  [
    'a socket opened to all by the engine',
    { ...socket, change: 'attributes', after: openToAll, writer: dockerd },
    'breakout-file-changed',
  ],
  ['a socket replaced by another process', { ...socket, change: 'replaced' }, 'breakout-file-changed'],
  [
    'a socket opened by chmod',
    { ...socket, change: 'attributes', after: openToAll },
    'breakout-file-changed',
  ],
  [
    'a socket replaced in a container',
    { ...socket, change: 'replaced', container: sampleContainer(), writer: dockerd },
    'breakout-file-changed-by-container',
  ],
  ['a socket recreated by an unknown process', { ...socket, change: 'replaced', ...unknown }, null],
  [
    'a socket opened to all by an unknown process',
    { ...socket, change: 'attributes', after: openToAll, ...unknown },
    'breakout-file-changed',
  ],
  ['a socket removed by an unknown process', { ...socket, change: 'removed', after: null, ...unknown }, null],
]

for (const [what, seen, rule] of rows) {
  test(`${what}: ${rule ?? 'nothing'}`, (t) => {
    t.deepEqual(
      detectionsOf(seen).map((detection) => detection.rule),
      rule === null ? [] : [rule],
    )
  })
}

test('the finding has the writer, the file and the changed lines', (t) => {
  const [detection] = detectionsOf({
    before: { ...before, text: '{\n  "live-restore": true\n}\n' },
    after: { ...before, sha256: 'bb', text: '{\n  "live-restore": true,\n  "default-runtime": "evil"\n}\n' },
  })
  t.is(detection?.summary, 'sh (pid 4242) on the host changed /etc/docker/daemon.json (engine configuration)')
  t.like(detection?.evidence, {
    path: '/etc/docker/daemon.json',
    change: 'written',
    writer: { user: 'root', argv: ['sh', '-c', 'echo evil > runc'] },
    lines_removed: ['  "live-restore": true'],
    lines_added: ['  "live-restore": true,', '  "default-runtime": "evil"'],
  })
})

test('lines are bounded in number and length, and passwords in URLs are omitted', (t) => {
  const many = Array.from({ length: 100 }, (_, index) => `line ${index}`).join('\n')
  const { lines_added } = changedLines('', many) as { lines_added: string[] }
  t.is(lines_added.length, 21)
  t.is(lines_added.at(-1), '…[80 more lines]')
  t.deepEqual(changedLines('', '"http-proxy": "http://alice:secret@proxy:3128"'), {
    lines_added: ['"http-proxy": "http://…@proxy:3128"'],
  })
  const [long = ''] = (changedLines('', 'x'.repeat(10_000)) as { lines_added: string[] }).lines_added
  t.true(long.length <= 500)
  t.deepEqual(changedLines('same\n', 'same\n'), {})
})
