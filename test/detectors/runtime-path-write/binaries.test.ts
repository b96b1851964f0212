import test from 'ava'
import { map } from 'rxjs'
import type { Memory } from '../../../agent/model/detector.ts'
import type { Detection } from '../../../agent/model/finding.ts'
import type { PackageFile, RuntimeFileObservation } from '../../../agent/model/observation.ts'
import { binaryDetections } from '../../../detectors/runtime-path-write/binaries.ts'
import { acceptDigest, readBinary } from '../../../detectors/runtime-path-write/known-binaries.ts'
import { marbles } from '../../support/marbles.ts'
import { emptyMemory, observing } from '../../support/observed.ts'
import { sampleContainer, sampleDpkg, sampleFileState, sampleRuntimeFile } from '../../support/samples.ts'

const before = sampleFileState
const after = { ...before, inode: 11, sha256: 'bb' }
const old: PackageFile = { manager: 'dpkg', name: 'runc', version: '1.1.5', matches: true }
const mismatched: PackageFile = { ...old, matches: false }
const newer: PackageFile = { ...old, version: '1.1.12' }

const found = sampleRuntimeFile({ change: 'found', before: null, after: before, writer: null })
const verified = (state: typeof before, of: PackageFile | null, ms = 0) =>
  sampleRuntimeFile({
    time: found.time + ms,
    change: 'verified',
    before: state,
    after: state,
    writer: null,
    package: of,
  })
const replaced = sampleRuntimeFile({ change: 'replaced', before, after })
const byDpkg = { ...replaced, writer: sampleDpkg }

/** A detection on one line. */
function lineOf({ rule, state, isUpdate, evidence }: Detection): string {
  const text = (key: string) => (typeof evidence[key] === 'string' ? evidence[key] : '')
  const why = text('no_upgrade_because')
  const parts = [rule, state, isUpdate && 'update', why && `because ${why}`, text('version_after')]
  return parts.filter(Boolean).join(' ')
}

const matching = 'runtime-binary-mismatch resolved'
const differs = 'runtime-binary-mismatch firing'

/** Expects these detections for these observations. */
function expectDetections(
  t: Parameters<typeof marbles>[0],
  seen: Record<string, RuntimeFileObservation>,
  diagram: string,
  expected: string,
  detections: Record<string, string>,
  memory: Memory = emptyMemory(),
): void {
  marbles(t, ({ hot, expectObservable }) => {
    const runtimeFiles$ = hot(diagram, seen)
    const end = '                      70s !'
    expectObservable(
      binaryDetections(observing({ 'runtime-file': runtimeFiles$ }, { memory })).pipe(map(lineOf)),
      end,
    ).toBe(expected, detections)
  })
}

test('an upgrade by the package manager is reported once, when the digest matches the new package', (t) => {
  expectDetections(
    t,
    {
      f: found,
      v: verified(before, old),
      r: byDpkg,
      w: verified(after, mismatched),
      y: verified(after, newer, 100),
    },
    'fv r w 98ms y',
    '-w 100ms u',
    { w: matching, u: 'runtime-upgraded 1.1.12' },
  )
})

test('an upgrade is the new baseline', (t) => {
  const memory = emptyMemory()
  expectDetections(
    t,
    { f: found, v: verified(before, old), r: byDpkg, y: verified(after, newer) },
    'fvry',
    '-w-u',
    { w: matching, u: 'runtime-upgraded 1.1.12' },
    memory,
  )
  t.like(readBinary(memory, replaced.path), { sha256: 'bb', trust: 'package', version: '1.1.12' })
})

test('further files of the same package are added to the first', (t) => {
  const path = '/usr/bin/docker-proxy'
  expectDetections(
    t,
    { r: byDpkg, y: verified(after, newer), s: { ...byDpkg, path }, z: { ...verified(after, newer), path } },
    'ry---sz',
    '-(wu)-(xv)',
    { w: matching, u: 'runtime-upgraded 1.1.12', x: matching, v: 'runtime-upgraded update 1.1.12' },
  )
})

test('a file by the package manager that does not match its package after a minute is tampering', (t) => {
  expectDetections(
    t,
    {
      f: found,
      v: verified(before, old),
      r: byDpkg,
      w: verified(after, mismatched),
      x: verified(after, mismatched, 60_000),
    },
    'fvrw 59996ms x',
    '-w 59998ms (dt)',
    {
      w: matching,
      t: 'runtime-binary-replaced because the package manager wrote it, but it does not match its package',
      d: differs,
    },
  )
})

test('another process’s file that does not match the package is reported at once, and after a minute as a condition', (t) => {
  expectDetections(
    t,
    {
      f: found,
      v: verified(before, old),
      r: replaced,
      w: verified(after, mismatched),
      x: verified(after, mismatched, 60_000),
    },
    'fvrw 59996ms x',
    '-w-t 59996ms d',
    { w: matching, t: 'runtime-binary-replaced', d: differs },
  )
})

test('another process’s file that matches the package waits a minute for the package manager', (t) => {
  expectDetections(
    t,
    {
      f: found,
      v: verified(before, old),
      r: replaced,
      w: verified(after, newer),
      x: verified(after, newer, 60_000),
    },
    'fvrw 59996ms x',
    '-w 59998ms t',
    {
      w: matching,
      t: 'runtime-binary-replaced because it matches its package, but no package manager wrote it',
    },
  )
})

test('a change from a container is reported at once, whatever the file', (t) => {
  const container = sampleContainer()
  expectDetections(
    t,
    { r: { ...replaced, container }, w: { ...replaced, change: 'written', container } },
    'rw',
    'tu',
    {
      t: 'runtime-binary-replaced',
      u: 'runtime-binary-written',
    },
  )
})

test('the wait for an answer of the package managers ends after five seconds', (t) => {
  expectDetections(t, { r: replaced }, 'r', '5s t', { t: 'runtime-binary-replaced' })
})

test('a second change does not hide one that is being judged', (t) => {
  expectDetections(t, { r: byDpkg, w: sampleRuntimeFile() }, 'r-w', '--(tu)', {
    t: 'runtime-binary-written',
    u: 'runtime-binary-replaced because it was changed again before it could be recognised as an upgrade',
  })
})

test('the steps of one upgrade are one finding', (t) => {
  expectDetections(
    t,
    { r: byDpkg, s: { ...byDpkg, after: { ...after, inode: 12 } }, y: verified(after, newer) },
    'rsy',
    '--(wu)',
    {
      w: matching,
      u: 'runtime-upgraded 1.1.12',
    },
  )
})

test('a program removed with its package is an upgrade', (t) => {
  const gone = { ...byDpkg, change: 'removed' as const, after: null }
  const asked = { ...verified(before, null), before: null, after: null }
  expectDetections(t, { f: found, v: verified(before, old), r: gone, y: asked }, 'fvry', '-w-u', {
    w: matching,
    u: 'runtime-upgraded 1.1.5',
  })
})

test('an accepted digest makes a replacement an upgrade', (t) => {
  const memory = emptyMemory()
  acceptDigest(memory, replaced.path, 'bb')
  expectDetections(
    t,
    { r: replaced, a: { ...replaced, accepted: true } },
    'ra',
    'uu',
    { u: 'runtime-upgraded' },
    memory,
  )
})

test('a file that differs from its package at start is a condition until it matches again', (t) => {
  expectDetections(
    t,
    { f: found, v: verified(before, mismatched), w: verified(before, mismatched), y: verified(before, old) },
    'fvw-y',
    '-d--w',
    { d: differs, w: matching },
  )
})

test('a file without a package that differs from its baseline is a condition, also across a restart', (t) => {
  const memory = emptyMemory()
  expectDetections(t, { f: found, v: verified(before, null) }, 'fv', '-w', { w: matching }, memory)
  const changed = { ...found, after }
  expectDetections(t, { f: changed, v: verified(after, null) }, 'fv', '-d', { d: differs }, memory)
  t.like(readBinary(memory, found.path), { trust: 'differs', sha256: 'bb', expected: 'aa' })
})

test('a file tampered with before its package was queried does not become the baseline', (t) => {
  const memory = emptyMemory()
  expectDetections(
    t,
    { f: found, r: sampleRuntimeFile(), w: verified(after, null, 60_000) },
    'fr 59998ms w',
    '-t 59998ms d',
    {
      t: 'runtime-binary-written',
      d: differs,
    },
    memory,
  )
})

test('accepting a file that differs ends the condition within a second', (t) => {
  const memory = emptyMemory()
  marbles(t, ({ hot, cold, expectObservable }) => {
    const runtimeFiles$ = hot('fv', { f: found, v: verified(before, mismatched) })
    cold('3500ms a').subscribe(() => acceptDigest(memory, found.path, 'aa'))
    expectObservable(
      binaryDetections(observing({ 'runtime-file': runtimeFiles$ }, { memory })).pipe(map(lineOf)),
      '10s !',
    ).toBe('-d 3998ms w', {
      d: differs,
      w: matching,
    })
  })
  t.is(readBinary(memory, found.path)?.trust, 'accepted')
})

test('a write reported before the file was read is updated; an upgrade is judged once it was read', (t) => {
  const early = sampleRuntimeFile({ after: { ...before, sha256: '' } })
  const complete = sampleRuntimeFile({ isUpdate: true })
  expectDetections(t, { e: early, w: complete }, 'ew', 'tu', {
    t: 'runtime-binary-written',
    u: 'runtime-binary-written update',
  })
  const byManager = (seen: RuntimeFileObservation) => ({ ...seen, writer: sampleDpkg })
  expectDetections(
    t,
    { e: byManager(early), w: byManager(complete), y: verified(sampleRuntimeFile().after ?? before, newer) },
    'ewy',
    '--(wu)',
    {
      w: matching,
      u: 'runtime-upgraded 1.1.12',
    },
  )
})
