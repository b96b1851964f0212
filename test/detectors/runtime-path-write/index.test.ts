import test from 'ava'
import { firstValueFrom, from, map, takeUntil, timer, toArray } from 'rxjs'
import type { FileState, RuntimeFileObservation } from '../../../agent/model/observation.ts'
import { type Change, tampered } from '../../../detectors/runtime-path-write/describe.ts'
import { runtimePathWrite } from '../../../detectors/runtime-path-write/index.ts'
import { emptyMemory, silent } from '../../support/observed.ts'
import {
  sampleContainer,
  sampleFileState as before,
  sampleRuntimeFile as seen,
  sampleWriter,
} from '../../support/samples.ts'

const after: FileState = { ...before, sha256: 'bb' }
const unknown = sampleWriter({ uid: null, user: '', exe: '', argv: [] })
const detectionOf = (what: Partial<RuntimeFileObservation>) => tampered(seen(what) as Change)

test('a write from a container names process and container, and gives the digests', (t) => {
  const container = sampleContainer({ name: 'web-1' })
  t.deepEqual(detectionOf({ container }), {
    rule: 'runtime-binary-written',
    time: 2_000_000.25,
    container,
    summary: 'runc at /usr/sbin/runc was overwritten by sh (pid 4242) in container web-1',
    subject: ['/usr/sbin/runc'],
    act: 'written /usr/sbin/runc 10 4242 2000000',
    evidence: {
      path: '/usr/sbin/runc',
      change: 'written',
      writer: { pid: 4242, uid: 0, user: 'root', exe: '/bin/sh', argv: ['sh', '-c', 'echo evil > runc'] },
      sha256_before: 'aa',
      sha256_after: 'bb',
    },
  })
})

const otherFile = { ...after, inode: 11 }
const rows: [Partial<RuntimeFileObservation>, string, string][] = [
  [{}, 'runtime-binary-written', 'was overwritten by sh (pid 4242) on the host'],
  [{ after: before }, 'runtime-binary-written', 'was overwritten by sh (pid 4242) on the host'],
  [
    { change: 'replaced', after: otherFile },
    'runtime-binary-replaced',
    'was replaced by sh (pid 4242) on the host',
  ],
  [{ change: 'removed', after: null }, 'runtime-binary-replaced', 'was removed by sh (pid 4242) on the host'],
  [
    { change: 'attributes', after: { ...before, mode: 0o4755 } },
    'runtime-binary-written',
    'had its mode or owner changed by sh (pid 4242) on the host',
  ],
  [{ writer: null }, 'runtime-binary-written', 'was overwritten by an unknown process'],
  [{ writer: unknown }, 'runtime-binary-written', 'was overwritten by process 4242'],
  [
    { writer: unknown, container: sampleContainer() },
    'runtime-binary-written',
    'was overwritten by process 4242 in container web-1',
  ],
]

for (const [what, rule, words] of rows) {
  test(`${rule} says that runc ${words} (${Object.keys(what).join(', ') || 'nothing else'})`, (t) => {
    t.like(detectionOf(what), { rule, summary: `runc at /usr/sbin/runc ${words}` })
  })
}

test('what differs stands in the evidence, and nothing that is unknown', (t) => {
  const evidenceOf = (what: Partial<RuntimeFileObservation>) =>
    detectionOf({ writer: null, ...what }).evidence
  const path = '/usr/sbin/runc'
  t.deepEqual(evidenceOf({ change: 'attributes', after: { ...before, mode: 0o4755, uid: 12 } }), {
    path,
    change: 'attributes',
    sha256_before: 'aa',
    sha256_after: 'aa',
    mode_before: '0755',
    mode_after: '4755',
    owner_before: '0:0',
    owner_after: '12:0',
  })
  t.deepEqual(evidenceOf({ change: 'replaced', after: otherFile }), {
    path,
    change: 'replaced',
    sha256_before: 'aa',
    sha256_after: 'bb',
    inode_before: 10,
    inode_after: 11,
  })
  t.deepEqual(evidenceOf({ change: 'removed', after: null }), {
    path,
    change: 'removed',
    sha256_before: 'aa',
    inode_before: 10,
    mode_before: '0755',
    owner_before: '0:0',
  })
  t.deepEqual(evidenceOf({ writer: unknown })['writer'], { pid: 4242 })
})

test('the same act is named the same, and any other differently', (t) => {
  const actOf = (what: Partial<RuntimeFileObservation>) => detectionOf(what).act
  t.is(actOf({}), actOf({}))
  const others = [{ change: 'replaced' }, { path: '/usr/bin/runc' }, { after: otherFile }] as const
  const acts = [{}, ...others, { writer: sampleWriter({ pid: 4_243 }) }, { time: 2_000_001 }].map(actOf)
  t.is(new Set(acts).size, acts.length)
})

test('a baseline and the rest of a reported write are no finding', async (t) => {
  const runtimeFiles$ = from([
    seen({ change: 'found', before: null, writer: null }),
    seen({ continued: true }),
    seen({}),
  ])
  const detections = await firstValueFrom(
    runtimePathWrite.detect({ ...silent, memory: emptyMemory(), runtimeFiles$ }, {}).pipe(
      takeUntil(timer(50)),
      map(({ rule }) => rule),
      toArray(),
    ),
  )
  t.deepEqual(detections, ['runtime-binary-written'])
})
