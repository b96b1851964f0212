import test from 'ava'
import { map } from 'rxjs'
import type { ContainerObservation, RuntimeFileObservation } from '../../../agent/model/observation.ts'
import { mountedRuntimePaths, mountedWritable } from '../../../detectors/runtime-path-write/mounted-path.ts'
import { marbles } from '../../support/marbles.ts'
import { sampleContainer } from '../../support/samples.ts'
import { observing } from '../../support/observed.ts'

const paths = new Set(['/usr/sbin/runc', '/usr/bin/containerd'])
const mount = (source: string, writable = true) => ({ type: 'bind', source, destination: '/mnt', writable })

test('a writable mount of a runtime file, or of a directory above it, is found', (t) => {
  const rows: [string, boolean, string[]][] = [
    ['/usr/sbin/runc', true, ['/usr/sbin/runc']],
    ['/usr/sbin', true, ['/usr/sbin/runc']],
    ['/usr/sbin/', true, ['/usr/sbin/runc']],
    ['/usr', true, ['/usr/sbin/runc', '/usr/bin/containerd']],
    ['/', true, ['/usr/sbin/runc', '/usr/bin/containerd']],
    ['/sbin', true, ['/usr/sbin/runc']],
    ['/sbin/runc', true, ['/usr/sbin/runc']],
    ['/usr/sbin', false, []],
    ['/usr/sbi', true, []],
    ['/usr/sbin/runc2', true, []],
    ['/srv', true, []],
    ['volume-name', true, []],
    ['', true, []],
  ]
  for (const [source, writable, files] of rows) {
    const found = mountedWritable(sampleContainer({ details: { mounts: [mount(source, writable)] } }), paths)
    t.deepEqual(
      found.flatMap((one) => one.files),
      files,
      source,
    )
  }
  t.deepEqual(mountedWritable(sampleContainer({ details: null }), paths), [])
})

const container = sampleContainer({ details: { mounts: [mount('/usr/sbin')] } })
const seen = (action: ContainerObservation['action'], what = container): ContainerObservation => ({
  kind: 'container',
  time: 1,
  action,
  container: what,
  exitCode: null,
  previousName: null,
})
const file = {
  kind: 'runtime-file',
  time: 2,
  change: 'found',
  path: '/usr/sbin/runc',
} as RuntimeFileObservation
const events = {
  s: seen('started'),
  u: seen('updated'),
  c: seen('created', { ...container, state: 'created' }),
  d: seen('died', { ...container, state: 'exited' }),
  r: seen('removed', { ...container, state: 'dead' }),
  h: seen('started', sampleContainer()),
  n: seen('renamed', { ...container, name: 'web-2' }),
}

test('it fires once while the container runs, whichever is known first, and resolves when the container stops', (t) => {
  const cases: [string, string, string][] = [
    ['f-------', '-s-u-d-r', '-F---R--'],
    ['--f-----', 's--u-d-r', '--F--R--'],
    ['f-f-f---', '-s---r--', '-F---R--'],
    ['f-------', '-c-r----', '--------'],
    ['f-------', '-h-d----', '--------'],
    ['f-------', '-s-d-s-d', '-F-R-F-R'],
    ['f-------', '-s---n---d', '-F---F---R'],
  ]
  for (const [files, containers, expected] of cases) {
    marbles(t, ({ cold, expectObservable }) => {
      const detections$ = mountedRuntimePaths(
        observing({ 'runtime-file': cold(files, { f: file }), container: cold(containers, events) }),
      )
      expectObservable(detections$.pipe(map(({ state }) => (state === 'firing' ? 'F' : 'R')))).toBe(expected)
    })
  }
})
