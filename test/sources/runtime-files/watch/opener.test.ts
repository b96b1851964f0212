import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { openerResolver } from '../../../../agent/sources/runtime-files/watch/opener.ts'
import { noProgram } from '../../../../agent/sources/processes/table/known-process.ts'
import { processTable } from '../../../../agent/sources/processes/table/table.ts'
import { fakeProc } from '../../processes/fake-proc.ts'
import { fakeClock, knownProcess } from '../../processes/samples.ts'
import { sampleContainer } from '../../../support/samples.ts'

const id = 'a'.repeat(64)
const file = { path: '/usr/sbin/runc', location: null, device: 8, inode: 77 }
const exeFile = { device: 8, inode: 77 }
const running = (...argv: string[]) => {
  const program = { ...noProgram, exe: '/', exeFile, argv }
  return () => program
}

/** runc entering a container: `create` runs `init`, which forks twice. */
function runtime(initArgv = ['runc', 'init'], named = id) {
  const table = processTable({ clock: fakeClock() })
  const init = running(...initArgv)
  const add = (pid: number, creatorPid: number, program: ReturnType<typeof running>) =>
    table.add(knownProcess({ pid, startTicks: pid, creatorPid, creatorStartTicks: creatorPid, program }))
  add(10, 1, running('runc', '--root', '/run', 'create', '--bundle', `/b/${named}`, named))
  add(11, 10, init)
  add(12, 11, init)
  add(13, 12, init)
  const containers = {
    get: (of: string) => (of === id ? sampleContainer() : undefined),
    all: () => [],
    running: () => [],
  }
  return {
    table,
    ...openerResolver({ procRoot: '/nonexistent', table, containers, containerOfPid: () => null }),
  }
}

test('an exited process that would have become the container’s program is reported with its container', (t) => {
  const { resolveExited, table } = runtime()
  t.like(resolveExited(13, file), {
    container: { name: 'web-1' },
    startTicks: 13,
    byRuntime: true,
    opener: { pid: 13 },
  })
  table.end(table.get(13) ?? t.fail(), 1, null)
  t.like(resolveExited(13, file), { byRuntime: true }, 'also after its exit was reported')
})

test('opens by the runtime itself, by its parents, and of other files are not reported', (t) => {
  const { resolveExited } = runtime()
  t.is(resolveExited(11, file), null, 'init opens itself to run from a copy')
  t.is(resolveExited(10, file), null)
  t.is(resolveExited(99, file), null)
  t.is(resolveExited(13, { ...file, inode: 78 }), null)
  t.is(runtime(['runc', 'create']).resolveExited(13, file), null)
})

test('a container that the engine does not know is reported by its id', (t) => {
  const other = 'b'.repeat(64)
  t.like(runtime(['runc', 'init'], other).resolveExited(13, file), {
    container: { id: other, name: 'b'.repeat(12) },
  })
  t.is(runtime(['runc', 'init'], 'no-id').resolveExited(13, file), null)
})

test('a process that cannot be inspected is reported as gone', (t) => {
  t.is(runtime().resolveRunning(13, file), 'gone')
})

test('a process that exits while it is inspected is not taken for one without the mount that it used', async (t) => {
  const proc = await fakeProc(t)
  await proc.add({ pid: 1 })
  await proc.add({ pid: 13, mountNamespace: 7, argv: [] })
  const { resolveRunning } = openerResolver({
    procRoot: proc.root,
    table: processTable({ clock: fakeClock() }),
    containers: { get: () => undefined, all: () => [], running: () => [] },
    containerOfPid: () => sampleContainer(),
  })
  // An exited process still has a directory, but its mountinfo is empty.
  await writeFile(join(proc.root, '13/mountinfo'), '')
  t.is(resolveRunning(13, file), 'gone')
  await writeFile(join(proc.root, '13/mountinfo'), '1 0 8:1 / / rw - ext4 /dev/sda1 rw\n')
  t.like(resolveRunning(13, file), { opener: { pid: 13 }, byRuntime: false })
})
