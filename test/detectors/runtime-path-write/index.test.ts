import test from 'ava'
import { firstValueFrom, from, map, takeUntil, timer, toArray } from 'rxjs'
import type { FileState, RuntimeFileObservation } from '../../../agent/model/observation.ts'
import { type Change, tampered } from '../../../detectors/runtime-path-write/describe.ts'
import { runtimePathWrite } from '../../../detectors/runtime-path-write/index.ts'
import { emptyMemory, observing } from '../../support/observed.ts'
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
    summary: 'sh (pid 4242) in web-1 overwrote /usr/sbin/runc',
    subject: ['/usr/sbin/runc', 'written', 'bb', '755', '0:0'],
    actor: 'root with /bin/sh',
    eventKey: 'written /usr/sbin/runc 10 4242 2000000',
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
  [{}, 'runtime-binary-written', 'sh (pid 4242) on the host overwrote'],
  [{ after: before }, 'runtime-binary-written', 'sh (pid 4242) on the host overwrote'],
  [{ change: 'replaced', after: otherFile }, 'runtime-binary-replaced', 'sh (pid 4242) on the host replaced'],
  [{ change: 'removed', after: null }, 'runtime-binary-replaced', 'sh (pid 4242) on the host removed'],
  [
    { change: 'attributes', after: { ...before, mode: 0o4755 } },
    'runtime-binary-written',
    'sh (pid 4242) on the host changed the mode or owner of',
  ],
  [{ writer: null }, 'runtime-binary-written', 'an unknown process overwrote'],
  [{ writer: unknown }, 'runtime-binary-written', 'process 4242 overwrote'],
  [
    { writer: unknown, container: sampleContainer() },
    'runtime-binary-written',
    'process 4242 in web-1 overwrote',
  ],
]

for (const [what, rule, words] of rows) {
  test(`${rule}: ${words} runc (${Object.keys(what).join(', ') || 'nothing else'})`, (t) => {
    t.like(detectionOf(what), { rule, summary: `${words} /usr/sbin/runc` })
  })
}

test('evidence has every difference, and omits unknown values', (t) => {
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

test('the same event has the same key, and any other event another one', (t) => {
  const keyOf = (what: Partial<RuntimeFileObservation>) => detectionOf(what).eventKey
  t.is(keyOf({}), keyOf({}))
  const others = [{ change: 'replaced' }, { path: '/usr/bin/runc' }, { after: otherFile }] as const
  const keys = [{}, ...others, { writer: sampleWriter({ pid: 4_243 }) }, { time: 2_000_001 }].map(keyOf)
  t.is(new Set(keys).size, keys.length)
})

test('a baseline and the rest of a reported write are not findings', async (t) => {
  const runtimeFiles$ = from([
    seen({ change: 'found', before: null, writer: null }),
    seen({ continued: true }),
    seen({}),
  ])
  const detections = await firstValueFrom(
    runtimePathWrite.detect(observing({ 'runtime-file': runtimeFiles$ }, { memory: emptyMemory() }), {}).pipe(
      takeUntil(timer(50)),
      map(({ rule }) => rule),
      toArray(),
    ),
  )
  t.deepEqual(detections, ['runtime-binary-written'])
})
