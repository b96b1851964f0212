import test from 'ava'
import { openers } from '../../../../agent/sources/runtime-files/watch/opener.ts'
import { noProgram } from '../../../../agent/sources/processes/table/known-process.ts'
import { processTable } from '../../../../agent/sources/processes/table/table.ts'
import { fakeClock, knownProcess } from '../../processes/samples.ts'
import { sampleContainer } from '../../../support/samples.ts'

const id = 'a'.repeat(64)
const file = { path: '/usr/sbin/runc', place: null, device: 8, inode: 77 }
const exeFile = { device: 8, inode: 77 }
const running = (...argv: string[]) => {
  const program = { ...noProgram, exe: '/', exeFile, argv }
  return () => program
}

/** runc on its way into a container: `create` runs `init`, which forks twice. */
function runtime(initArgv = ['runc', 'init'], named = id) {
  const table = processTable({ clock: fakeClock() })
  const init = running(...initArgv)
  const add = (pid: number, makerPid: number, program: ReturnType<typeof running>) =>
    table.add(knownProcess({ pid, startTicks: pid, makerPid, makerStartTicks: makerPid, program }))
  add(10, 1, running('runc', '--root', '/run', 'create', '--bundle', `/b/${named}`, named))
  add(11, 10, init)
  add(12, 11, init)
  add(13, 12, init)
  const containers = {
    get: (of: string) => (of === id ? sampleContainer() : undefined),
    all: () => [],
    running: () => [],
  }
  return { table, ...openers({ procRoot: '/nonexistent', table, containers, containerOfPid: () => null }) }
}

test('of a process that is gone, the one that was to become the program is told with its container', (t) => {
  const { remembered, table } = runtime()
  t.like(remembered(13, file), {
    container: { name: 'web-1' },
    startTicks: 13,
    byRuntime: true,
    opener: { pid: 13 },
  })
  table.end(table.get(13) ?? t.fail(), 1, null)
  t.like(remembered(13, file), { byRuntime: true }, 'also when its end is known')
})

test('the runtime’s own opens are not told: by what it ran itself, by its makers, and of other files', (t) => {
  const { remembered } = runtime()
  t.is(remembered(11, file), null, 'init opens itself to run from a copy')
  t.is(remembered(10, file), null)
  t.is(remembered(99, file), null)
  t.is(remembered(13, { ...file, inode: 78 }), null)
  t.is(runtime(['runc', 'create']).remembered(13, file), null)
})

test('a container that the engine does not know is told by its id', (t) => {
  const other = 'b'.repeat(64)
  t.like(runtime(['runc', 'init'], other).remembered(13, file), {
    container: { id: other, name: 'b'.repeat(12) },
  })
  t.is(runtime(['runc', 'init'], 'no-id').remembered(13, file), null)
})

test('a process that cannot be looked at is gone', (t) => {
  t.is(runtime().living(13, file), 'gone')
})
