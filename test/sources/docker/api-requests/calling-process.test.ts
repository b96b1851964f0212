import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { describeCaller } from '../../../../agent/sources/docker/api-requests/calling-process.ts'
import { processTable } from '../../../../agent/sources/processes/table/table.ts'
import { fakeProc } from '../../processes/fake-proc.ts'
import { fakeClock, knownProcess, running } from '../../processes/samples.ts'

const users = { nameOf: (uid: number) => `user-${uid}` }
const calling = { pid: 50, startTicks: 500, uid: 7 }

test('a client is told with who logged in and with whom it descends from', async (t) => {
  const { describe, proc, table } = await sample(t)
  for (let pid = 1; pid <= 49; pid++) table.add(knownProcess({ pid, startTicks: pid, ...madeBy(pid - 1) }))
  table.add(knownProcess({ ...calling, program: running('docker', 'ps'), ...madeBy(49) }))
  await proc.add(calling)
  await writeFile(join(proc.root, '50/loginuid'), '1000')
  const { ancestors, ...client } = describe()
  t.deepEqual(client, {
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

test('a client of which nobody has told is read while it lives', async (t) => {
  const { describe, proc, table } = await sample(t)
  table.add(knownProcess({ pid: 9, startTicks: 5 }))
  await proc.add({ ...calling, parentPid: 9, argv: ['curl'] })
  await writeFile(join(proc.root, '50/loginuid'), '4294967295')
  t.like(describe(), { exe: proc.exe, argv: ['curl'], loginUser: '', ancestors: [{ pid: 9 }] })
})

test('neither what is gone nor another process with its pid is taken for it', async (t) => {
  const { describe, proc } = await sample(t)
  const nothing = { pid: 50, uid: 7, user: 'user-7', loginUser: '', exe: '', argv: [], ancestors: [] }
  t.deepEqual(describe(), nothing)
  await proc.add({ ...calling, startTicks: 501 })
  await writeFile(join(proc.root, '50/loginuid'), '1000')
  t.deepEqual(describe(), nothing)
})

function madeBy(pid: number) {
  return { parentPid: pid, makerPid: pid, makerStartTicks: pid }
}

async function sample(t: ExecutionContext) {
  const proc = await fakeProc(t)
  const table = processTable({ clock: fakeClock() })
  return { proc, table, describe: () => describeCaller(calling, { table, procRoot: proc.root, users }) }
}
