import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type {
  ControllerDirectory,
  CgroupDirectories,
} from '../../../agent/sources/resources/cgroup-directories.ts'
import { parentLimits } from '../../../agent/sources/resources/parent-limits.ts'

type Files = Readonly<Record<string, string>>

/** The directories of a container two levels deep in a single hierarchy with all controllers, next to these files. */
function cgroupDirectoriesOf(
  t: ExecutionContext,
  version: 1 | 2,
  files: Files,
): { directories: CgroupDirectories; root: string } {
  const root = mkdtempSync(join(tmpdir(), 'tidewatch-parents-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  const directory = join(root, 'slice/tenant/web')
  mkdirSync(directory, { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text)
  const controller: ControllerDirectory = { version, directory, parents: 3 }
  return {
    root,
    directories: {
      memory: controller,
      cpu: controller,
      cpuacct: controller,
      pids: controller,
      io: null,
      unified: null,
    },
  }
}

const none = { memoryBytes: null, cores: null, pids: null }

const tables: [title: string, version: 1 | 2, files: Files, above: object][] = [
  ['parents without files', 2, {}, none],
  [
    'parents without limits',
    2,
    { 'slice/memory.max': 'max\n', 'slice/cpu.max': 'max 100000\n', 'slice/pids.max': 'max\n' },
    none,
  ],
  [
    'the lowest limit of the parents for each controller',
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
  ['a limit of the container itself is not a parent limit', 2, { 'slice/tenant/web/pids.max': '5\n' }, none],
  ['a limit of 0 counts', 2, { 'slice/pids.max': '0\n' }, { ...none, pids: 0 }],
  [
    'with version 1, CPU quota and processes; the container’s own files show the memory limit',
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
    t.deepEqual(parentLimits().above(cgroupDirectoriesOf(t, version, files).directories), above)
  })
}

test('a directory outside the mount is not read', (t) => {
  const { directories, root } = cgroupDirectoriesOf(t, 2, {
    'slice/pids.max': '5\n',
    'slice/tenant/pids.max': '70\n',
  })
  const pids: ControllerDirectory = { version: 2, directory: join(root, 'slice/tenant/web'), parents: 1 }
  t.is(parentLimits().above({ ...directories, pids }).pids, 70)
})

test('a parent is read once per round, however many containers it has', (t) => {
  const { directories, root } = cgroupDirectoriesOf(t, 2, { 'slice/pids.max': '5\n' })
  const parents = parentLimits()
  t.is(parents.above(directories).pids, 5)
  writeFileSync(join(root, 'slice/pids.max'), '6\n')
  t.is(parents.above(directories).pids, 5)
  parents.forget()
  t.is(parents.above(directories).pids, 6)
})

test('a controller that the host lacks has no limits', (t) => {
  const { directories } = cgroupDirectoriesOf(t, 2, { 'slice/pids.max': '5\n' })
  t.deepEqual(parentLimits().above({ ...directories, memory: null, cpu: null, pids: null }), none)
})

test('a malformed file of a parent is an error', (t) => {
  const { directories } = cgroupDirectoriesOf(t, 2, { 'slice/pids.max': 'many\n' })
  t.throws(() => parentLimits().above(directories), { message: /^pids.max holds/ })
})
