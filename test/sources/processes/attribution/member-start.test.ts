import test from 'ava'
import { startOfMember } from '../../../../agent/sources/processes/attribution/member-start.ts'
import { fakeProc } from '../fake-proc.ts'

const [web, other] = ['a'.repeat(64), 'b'.repeat(64)]

test('a process of the container is dated by the kernel, and nothing else is', async (t) => {
  const proc = await fakeProc(t)
  await proc.add({ pid: 10, startTicks: 500, cgroup: `/docker/${web}` })
  await proc.add({ pid: 11, startTicks: 500, cgroup: `/docker/${other}` })
  await proc.add({ pid: 12, startTicks: 500, cgroup: `/docker/${web}`, state: 'Z' })
  const startOf = startOfMember({ procRoot: proc.root, clock: { epochOffset: () => 1_000_000 } })
  t.is(startOf(10, web), 1_005_000)
  for (const pid of [0, 11, 12, 13]) t.is(startOf(pid, web), null, String(pid))
})
