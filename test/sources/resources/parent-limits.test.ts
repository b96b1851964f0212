import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { Place, Places } from '../../../agent/sources/resources/cgroup-places.ts'
import { parentLimits } from '../../../agent/sources/resources/parent-limits.ts'

type Files = Readonly<Record<string, string>>

/** Places of a container two levels deep in one hierarchy, with these files beside it; all controllers are in it. */
function placesOf(t: ExecutionContext, version: 1 | 2, files: Files): { places: Places; root: string } {
  const root = mkdtempSync(join(tmpdir(), 'tidewatch-parents-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  const directory = join(root, 'slice/tenant/web')
  mkdirSync(directory, { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text)
  const place: Place = { version, directory, parents: 3 }
  return {
    root,
    places: { memory: place, cpu: place, cpuacct: place, pids: place, io: null, unified: null },
  }
}

const none = { memoryBytes: null, cores: null, pids: null }

const tables: [title: string, version: 1 | 2, files: Files, above: object][] = [
  ['parents without files', 2, {}, none],
  [
    'parents that allow all there is',
    2,
    { 'slice/memory.max': 'max\n', 'slice/cpu.max': 'max 100000\n', 'slice/pids.max': 'max\n' },
    none,
  ],
  [
    'each limit by the parent that allows least',
    2,
    {
      'slice/memory.max': '400\n',
      'slice/tenant/memory.max': '300\n',
      'slice/cpu.max': '50000 100000\n',
      'slice/tenant/cpu.max': '200000 100000\n',
      'slice/pids.max': 'max\n',
      'slice/tenant/pids.max': '70\n',
    },
    { memoryBytes: 300, cores: 0.5, pids: 70 },
  ],
  ['a limit of the container itself is none of its parents', 2, { 'slice/tenant/web/pids.max': '5\n' }, none],
  ['a limit of 0 is one', 2, { 'slice/pids.max': '0\n' }, { ...none, pids: 0 }],
  [
    'with version 1, the quota and the processes; memory is told by the container’s own files',
    1,
    {
      'slice/cpu.cfs_quota_us': '25000\n',
      'slice/cpu.cfs_period_us': '100000\n',
      'slice/tenant/cpu.cfs_quota_us': '-1\n',
      'slice/tenant/cpu.cfs_period_us': '100000\n',
      'slice/tenant/pids.max': '70\n',
      'slice/tenant/memory.max': '1\n',
    },
    { memoryBytes: null, cores: 0.25, pids: 70 },
  ],
]

for (const [title, version, files, above] of tables) {
  test(title, (t) => {
    t.deepEqual(parentLimits().above(placesOf(t, version, files).places), above)
  })
}

test('a directory that is outside of the mount is not asked', (t) => {
  const { places, root } = placesOf(t, 2, { 'slice/pids.max': '5\n', 'slice/tenant/pids.max': '70\n' })
  const pids: Place = { version: 2, directory: join(root, 'slice/tenant/web'), parents: 1 }
  t.is(parentLimits().above({ ...places, pids }).pids, 70)
})

test('a parent is read once in a round, whatever number of containers it has', (t) => {
  const { places, root } = placesOf(t, 2, { 'slice/pids.max': '5\n' })
  const parents = parentLimits()
  t.is(parents.above(places).pids, 5)
  writeFileSync(join(root, 'slice/pids.max'), '6\n')
  t.is(parents.above(places).pids, 5)
  parents.forget()
  t.is(parents.above(places).pids, 6)
})

test('a controller that the host lacks has no limits', (t) => {
  const { places } = placesOf(t, 2, { 'slice/pids.max': '5\n' })
  t.deepEqual(parentLimits().above({ ...places, memory: null, cpu: null, pids: null }), none)
})

test('garbage in a parent’s file is an error', (t) => {
  const { places } = placesOf(t, 2, { 'slice/pids.max': 'many\n' })
  t.throws(() => parentLimits().above(places), { message: /^pids.max holds/ })
})
