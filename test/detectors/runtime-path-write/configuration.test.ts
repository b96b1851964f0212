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

/** What is said of one observation. */
function said(seen: Partial<RuntimeFileObservation>): Detection[] {
  const runtimeFiles$ = new Subject<RuntimeFileObservation>()
  const detections: Detection[] = []
  configurationDetections({ runtimeFiles$ }).subscribe((detection) => detections.push(detection))
  runtimeFiles$.next(sampleRuntimeFile({ file: 'configuration', path: '/etc/docker/daemon.json', ...seen }))
  return detections
}

const before = sampleFileState
const dockerd = sampleWriter({ exe: '/usr/sbin/dockerd', argv: ['dockerd'] })
const systemd = sampleWriter({ pid: 1, exe: '/usr/lib/systemd/systemd', argv: ['/sbin/init'] })
const unseen = { writer: null }
const socket = { file: 'socket', path: '/run/docker.sock' } as const
const openToAll = { ...before, mode: 0o666 }

const rows: [string, Partial<RuntimeFileObservation>, string | null][] = [
  ['written on the host', {}, 'breakout-file-changed'],
  ['written by nobody seen', unseen, 'breakout-file-changed'],
  ['written in a container', { container: sampleContainer() }, 'breakout-file-changed-by-container'],
  ['made where there was none', { change: 'replaced', before: null }, 'breakout-file-changed'],
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
  ['a socket made anew by the engine', { ...socket, change: 'replaced', writer: dockerd }, null],
  ['a socket made anew by systemd', { ...socket, change: 'replaced', writer: systemd }, null],
  [
    'a socket opened to all by the engine',
    { ...socket, change: 'attributes', after: openToAll, writer: dockerd },
    'breakout-file-changed',
  ],
  ['a socket replaced by somebody', { ...socket, change: 'replaced' }, 'breakout-file-changed'],
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
  ['a socket made anew, nobody seen', { ...socket, change: 'replaced', ...unseen }, null],
  [
    'a socket opened to all, nobody seen',
    { ...socket, change: 'attributes', after: openToAll, ...unseen },
    'breakout-file-changed',
  ],
  ['a socket gone, nobody seen', { ...socket, change: 'removed', after: null, ...unseen }, null],
]

for (const [what, seen, rule] of rows) {
  test(`${what}: ${rule ?? 'nothing'}`, (t) => {
    t.deepEqual(
      said(seen).map((detection) => detection.rule),
      rule === null ? [] : [rule],
    )
  })
}

test('who changed what, and which lines, stands in the finding', (t) => {
  const [detection] = said({
    before: { ...before, text: '{\n  "live-restore": true\n}\n' },
    after: { ...before, sha256: 'bb', text: '{\n  "live-restore": true,\n  "default-runtime": "evil"\n}\n' },
  })
  t.is(
    detection?.summary,
    '/etc/docker/daemon.json, which configures the engine, was changed by sh (pid 4242) on the host',
  )
  t.like(detection?.evidence, {
    path: '/etc/docker/daemon.json',
    change: 'written',
    writer: { user: 'root', argv: ['sh', '-c', 'echo evil > runc'] },
    lines_removed: ['  "live-restore": true'],
    lines_added: ['  "live-restore": true,', '  "default-runtime": "evil"'],
  })
})

test('lines are bounded in number and length, and without the passwords of addresses', (t) => {
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
