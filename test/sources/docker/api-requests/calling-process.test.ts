import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { describeCaller } from '../../../../agent/sources/docker/api-requests/calling-process.ts'
import { processTable } from '../../../../agent/sources/processes/table/table.ts'
import { fakeProc } from '../../processes/fake-proc.ts'
import { fakeClock, knownProcess, running } from '../../processes/samples.ts'

const users = { nameOf: (uid: number) => `user-${uid}` }
const client = { pid: 50, startTicks: 500, uid: 7 }

test('a client is described with its login user and ancestors', async (t) => {
  const { describe, proc, table } = await sample(t)
  for (let pid = 1; pid <= 49; pid++) table.add(knownProcess({ pid, startTicks: pid, ...madeBy(pid - 1) }))
  table.add(knownProcess({ ...client, program: running('docker', 'ps'), ...madeBy(49) }))
  await proc.add(client)
  await writeFile(join(proc.root, '50/loginuid'), '1000')
  const { ancestors, ...described } = describe()
  t.deepEqual(described, {
    pid: 50,
    uid: 7,
    user: 'user-7',
    loginUser: 'user-1000',
    exe: '/bin/docker',
    argv: ['docker', 'ps'],
  })
  t.deepEqual(
    ancestors.map(({ pid }) => pid),
    [49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38],
  )
  t.deepEqual(ancestors[0], { pid: 49, exe: '/bin/sh', argv: ['sh'] })
})

test('a client missing from the process table is read from /proc while it runs', async (t) => {
  const { describe, proc, table } = await sample(t)
  table.add(knownProcess({ pid: 9, startTicks: 5 }))
  await proc.add({ ...client, parentPid: 9, argv: ['curl'] })
  await writeFile(join(proc.root, '50/loginuid'), '4294967295')
  t.like(describe(), { exe: proc.exe, argv: ['curl'], loginUser: '', ancestors: [{ pid: 9 }] })
})

test('a client that exited, or another process with its pid, gives an empty description', async (t) => {
  const { describe, proc } = await sample(t)
  const nothing = { pid: 50, uid: 7, user: 'user-7', loginUser: '', exe: '', argv: [], ancestors: [] }
  t.deepEqual(describe(), nothing)
  await proc.add({ ...client, startTicks: 501 })
  await writeFile(join(proc.root, '50/loginuid'), '1000')
  t.deepEqual(describe(), nothing)
})

function madeBy(pid: number) {
  return { parentPid: pid, creatorPid: pid, creatorStartTicks: pid }
}

async function sample(t: ExecutionContext) {
  const proc = await fakeProc(t)
  const table = processTable({ clock: fakeClock() })
  return { proc, table, describe: () => describeCaller(client, { table, procRoot: proc.root, users }) }
}
