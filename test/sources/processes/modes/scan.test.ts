import test, { type ExecutionContext } from 'ava'
import { scanProcesses } from '../../../../agent/sources/processes/modes/scan.ts'
import { sampleContainer } from '../../../support/samples.ts'
import { fakeProc, type FakeProcess } from '../fake-proc.ts'
import { watched } from '../samples.ts'

const id = 'a'.repeat(64)
const web = sampleContainer({ id, name: 'web', details: { pid: 200 } })
const inWeb = { cgroup: `/docker/${id}`, mountNamespace: 11 }
const shim: FakeProcess = { pid: 500, parentPid: 1, startTicks: 10, argv: ['shim'] }
const init: FakeProcess = { pid: 200, parentPid: 500, startTicks: 20, argv: ['app'], ...inWeb }

test('children inherit the container of their parents, even if the parent’s pid is higher', async (t) => {
  const { observed, scan } = await sample(t, [
    shim,
    init,
    { ...init, pid: 100, parentPid: 200, startTicks: 30 },
  ])
  await scan()
  t.deepEqual(
    observed().map(({ process, change, origin }) => [process.pid, change, origin.via]),
    [
      [200, 'found', 'init'],
      [100, 'found', 'init'],
    ],
  )
})

test('a process that entered by namespaces is found even if its pid is lower than the init’s', async (t) => {
  const byHand = { pid: 150, startTicks: 70, argv: ['nsenter'], mountNamespace: inWeb.mountNamespace }
  const itsChild = { ...byHand, pid: 140, parentPid: 150, startTicks: 70, argv: ['sleep'] }
  const { observed, scan } = await sample(t, [shim, init, byHand, itsChild])
  await scan()
  t.deepEqual(
    observed().map(({ process, origin }) => [process.pid, origin.via]),
    [
      [200, 'init'],
      [150, 'entered'],
      [140, 'entered'],
    ],
  )
})

test('a second scan reports only new or changed processes', async (t) => {
  const { observed, scan, proc } = await sample(t, [shim, init])
  await scan()
  await scan()
  t.is(observed().length, 1)
  await proc.add({ ...init, euid: 5 })
  await proc.add({ ...init, pid: 201, parentPid: 500, startTicks: 40, argv: ['entered'] })
  await scan()
  t.deepEqual(
    observed()
      .slice(1)
      .map(({ process, change, origin }) => [process.pid, change, origin.via]),
    [
      [200, 'ids-changed', 'init'],
      [201, 'found', 'entered'],
    ],
  )
})

test('a host process that enters a container’s mount namespace is reported', async (t) => {
  const { observed, scan, proc } = await sample(t, [shim, init, { pid: 700, startTicks: 50 }])
  await scan()
  await proc.add({ pid: 700, startTicks: 50, mountNamespace: inWeb.mountNamespace })
  await scan()
  t.deepEqual(
    observed()
      .slice(1)
      .map(({ process, origin }) => [process.pid, origin.via]),
    [[700, 'entered']],
  )
})

test('a process missing from /proc has exited, and a reused pid is a new process', async (t) => {
  const { observed, scan, proc, table } = await sample(t, [shim, init])
  await scan()
  await proc.remove(500)
  await proc.add({ ...init, startTicks: 60 })
  await scan()
  t.is(table.get(500), undefined)
  t.is(table.find({ pid: 200, startTicks: 20 })?.exit?.code, null)
  t.deepEqual(
    observed().map(({ process }) => process.startedAt - observed()[0]!.process.startedAt),
    [0, 400],
  )
})

test('a long chain of processes is attributed to its container, in any listing order', async (t) => {
  const chain = Array.from({ length: 200 }, (_, index) => ({
    ...init,
    pid: 3_000 - index,
    parentPid: index === 0 ? init.pid : 3_001 - index,
    startTicks: 30 + index,
  }))
  const { scan, observed } = await sample(t, [...chain.toReversed(), shim, init])
  await scan()
  t.is(observed().length, 201)
  t.true(observed().every(({ origin }) => origin.via === 'init'))
})

async function sample(t: ExecutionContext, processes: readonly FakeProcess[]) {
  const proc = await fakeProc(t)
  for (const process of processes) await proc.add(process)
  const { tracker, table, clock, observed } = watched([web])
  t.teardown(() => tracker.close())
  const scan = () =>
    scanProcesses({ procRoot: proc.root, table, tracker, clock, signal: new AbortController().signal })
  return { proc, table, observed, scan }
}
