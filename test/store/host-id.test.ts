import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { readHostId } from '../../agent/store/host-id.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

async function setUp(t: ExecutionContext, machineId: string | null = 'a machine') {
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true }))
  const machineFile = join(directory, 'machine-id')
  if (machineId !== null) await writeFile(machineFile, `${machineId}\n`)
  const state = join(directory, 'state')
  await mkdir(state)
  return { state, id: (from = state) => readHostId(from, 'node-7', [machineFile]) }
}

test('the ID of a host stays the same, and is in a file that only its owner can read', async (t) => {
  const { state, id } = await setUp(t)
  const first = id()
  t.is(id(), first)
  const stored = join(state, 'host-id')
  t.is((await stat(stored)).mode & 0o777, 0o600)
  t.is(first, `a machine ${(await readFile(stored, 'utf8')).trim()}`)
})

test('hosts with the same machine ID or the same state directory are different hosts', async (t) => {
  const [one, clone] = [await setUp(t), await setUp(t)]
  t.not(one.id(), clone.id())
  const other = await setUp(t, 'another machine')
  t.not(other.id(one.state), one.id())
})

test('without a writable state directory, the machine ID identifies the host; without both, its name', async (t) => {
  const { id } = await setUp(t)
  t.is(id('/nowhere'), 'a machine ')
  const { id: unnamed } = await setUp(t, null)
  t.is(unnamed('/nowhere'), 'node-7')
})
