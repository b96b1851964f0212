import test from 'ava'
import { map } from 'rxjs'
import type { Memory } from '../../../agent/model/detector.ts'
import type { Detection } from '../../../agent/model/finding.ts'
import type { PackageFile, RuntimeFileObservation } from '../../../agent/model/observation.ts'
import { binaryDetections } from '../../../detectors/runtime-path-write/binaries.ts'
import { acceptDigest, readBinary } from '../../../detectors/runtime-path-write/known-binaries.ts'
import { marbles } from '../../support/marbles.ts'
import { emptyMemory } from '../../support/observed.ts'
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

/** A detection in a few words. */
function words({ rule, state, completes, evidence }: Detection): string {
  const text = (key: string) => (typeof evidence[key] === 'string' ? evidence[key] : '')
  const why = text('no_upgrade_because')
  const parts = [rule, state, completes && 'completed', why && `because ${why}`, text('version_after')]
  return parts.filter(Boolean).join(' ')
}

const well = 'runtime-binary-mismatch resolved'
const differs = 'runtime-binary-mismatch firing'

/** What is said when these are seen. */
function said(
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
    expectObservable(binaryDetections({ runtimeFiles$, memory }).pipe(map(words)), end).toBe(
      expected,
      detections,
    )
  })
}

test('an upgrade by the package manager is told once, when the digest is that of the new package', (t) => {
  said(
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
    { w: well, u: 'runtime-upgraded 1.1.12' },
  )
})

test('an upgrade is the new baseline', (t) => {
  const memory = emptyMemory()
  said(
    t,
    { f: found, v: verified(before, old), r: byDpkg, y: verified(after, newer) },
    'fvry',
    '-w-u',
    { w: well, u: 'runtime-upgraded 1.1.12' },
    memory,
  )
  t.like(readBinary(memory, replaced.path), { sha256: 'bb', trust: 'package', version: '1.1.12' })
})

test('further files of the same package are added to the first', (t) => {
  const path = '/usr/bin/docker-proxy'
  said(
    t,
    { r: byDpkg, y: verified(after, newer), s: { ...byDpkg, path }, z: { ...verified(after, newer), path } },
    'ry---sz',
    '-(wu)-(xv)',
    { w: well, u: 'runtime-upgraded 1.1.12', x: well, v: 'runtime-upgraded completed 1.1.12' },
  )
})

test('the package manager’s file that is still not the package’s after a minute is tampering', (t) => {
  said(
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
      w: well,
      t: 'runtime-binary-replaced because the package manager wrote it, but it is not what the package brought',
      d: differs,
    },
  )
})

test('a replacement by somebody else that is not the package’s is told at once, and after a minute as a condition', (t) => {
  said(
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
    { w: well, t: 'runtime-binary-replaced', d: differs },
  )
})

test('a replacement by somebody else by the package’s own file waits a minute for the package manager', (t) => {
  said(
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
      w: well,
      t: 'runtime-binary-replaced because it is what its package brought, but no package manager wrote it',
    },
  )
})

test('what comes from a container is told at once, whatever it is', (t) => {
  const container = sampleContainer()
  said(t, { r: { ...replaced, container }, w: { ...replaced, change: 'written', container } }, 'rw', 'tu', {
    t: 'runtime-binary-replaced',
    u: 'runtime-binary-written',
  })
})

test('package managers that do not answer are not waited for longer than five seconds', (t) => {
  said(t, { r: replaced }, 'r', '5s t', { t: 'runtime-binary-replaced' })
})

test('another change does not make a change unsaid that is being judged', (t) => {
  said(t, { r: byDpkg, w: sampleRuntimeFile() }, 'r-w', '--(tu)', {
    t: 'runtime-binary-written',
    u: 'runtime-binary-replaced because it was changed again before it could be told for an upgrade',
  })
})

test('the steps of one upgrade are one', (t) => {
  said(
    t,
    { r: byDpkg, s: { ...byDpkg, after: { ...after, inode: 12 } }, y: verified(after, newer) },
    'rsy',
    '--(wu)',
    {
      w: well,
      u: 'runtime-upgraded 1.1.12',
    },
  )
})

test('a program removed with its package is an upgrade', (t) => {
  const gone = { ...byDpkg, change: 'removed' as const, after: null }
  const asked = { ...verified(before, null), before: null, after: null }
  said(t, { f: found, v: verified(before, old), r: gone, y: asked }, 'fvry', '-w-u', {
    w: well,
    u: 'runtime-upgraded 1.1.5',
  })
})

test('an accepted digest makes a replacement an upgrade', (t) => {
  const memory = emptyMemory()
  acceptDigest(memory, replaced.path, 'bb')
  said(t, { r: replaced, a: { ...replaced, accepted: true } }, 'ra', 'uu', { u: 'runtime-upgraded' }, memory)
})

test('a file that differs from its package at start is a condition until it is mended', (t) => {
  said(
    t,
    { f: found, v: verified(before, mismatched), w: verified(before, mismatched), y: verified(before, old) },
    'fvw-y',
    '-d--w',
    { d: differs, w: well },
  )
})

test('a file of no package that differs from what it was is a condition, over a restart too', (t) => {
  const memory = emptyMemory()
  said(t, { f: found, v: verified(before, null) }, 'fv', '-w', { w: well }, memory)
  const changed = { ...found, after }
  said(t, { f: changed, v: verified(after, null) }, 'fv', '-d', { d: differs }, memory)
  t.like(readBinary(memory, found.path), { trust: 'differs', sha256: 'bb', expected: 'aa' })
})

test('a file tampered with before its package was asked is not taken for its baseline', (t) => {
  const memory = emptyMemory()
  said(
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
    expectObservable(binaryDetections({ runtimeFiles$, memory }).pipe(map(words)), '10s !').toBe(
      '-d 3998ms w',
      {
        d: differs,
        w: well,
      },
    )
  })
  t.is(readBinary(memory, found.path)?.trust, 'accepted')
})

test('a write that is told before the file was read is completed, and an upgrade is judged when it was read', (t) => {
  const early = sampleRuntimeFile({ after: { ...before, sha256: '' } })
  const whole = sampleRuntimeFile({ completes: true })
  said(t, { e: early, w: whole }, 'ew', 'tu', {
    t: 'runtime-binary-written',
    u: 'runtime-binary-written completed',
  })
  const byManager = (seen: RuntimeFileObservation) => ({ ...seen, writer: sampleDpkg })
  said(
    t,
    { e: byManager(early), w: byManager(whole), y: verified(sampleRuntimeFile().after ?? before, newer) },
    'ewy',
    '--(wu)',
    {
      w: well,
      u: 'runtime-upgraded 1.1.12',
    },
  )
})
