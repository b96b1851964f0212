import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { cgroupOf, rootCgroup } from '../../../agent/sources/processes/attribution/cgroup.ts'
import { sampleContainer } from '../../support/samples.ts'
import { until } from '../../support/until.ts'
import { fakeProc } from './fake-proc.ts'
import { hostNamespaces, inContainer, running, seenProcess, watched } from './samples.ts'

const id = 'a'.repeat(64)
const other = 'b'.repeat(64)
const web = sampleContainer({ id, name: 'web', details: { pid: 200 } })

const shim = seenProcess({ pid: 50, startTicks: 100, program: running('containerd-shim') })
const init = seenProcess({
  pid: 200,
  startTicks: 600,
  parentPid: 50,
  ...inContainer(id),
  program: running('app'),
})
const fork = { startTicks: 700, uid: 0, euid: 0 }

test('a host’s processes are kept and not reported', (t) => {
  const { tracker, table, observed } = sample(t)
  tracker.executed(shim, 1_000)
  t.is(table.get(50)?.program().argv[0], 'containerd-shim')
  t.deepEqual(observed(), [])
})

test('the container’s first process and all that descends from it came by init', (t) => {
  const { tracker, observed } = sample(t)
  tracker.executed(shim, 1_000)
  tracker.executed(init, 6_000)
  tracker.forked({ ...fork, pid: 201, parentPid: 200, makerPid: 200 }, 7_000)
  tracker.executed(seenProcess({ pid: 201, startTicks: 700, parentPid: 200, ...inContainer(id) }), 7_001)
  t.deepEqual(
    observed().map(({ process, origin }) => [process.pid, origin]),
    [
      [200, { via: 'init' }],
      [201, { via: 'init' }],
    ],
  )
})

test('what comes from outside entered, with all its descendants, wherever they are adopted', (t) => {
  const { tracker, observed, bootTime } = sample(t)
  tracker.executed(shim, 1_000)
  tracker.executed(init, 6_000)
  tracker.executed(seenProcess({ pid: 300, startTicks: 800, parentPid: 50, ...inContainer(id) }), 8_000)
  tracker.forked({ ...fork, pid: 301, startTicks: 810, parentPid: 300, makerPid: 300 }, 8_100)
  tracker.exited(300, 800, 8_200, { status: 0, signal: 0 })
  tracker.executed(seenProcess({ pid: 301, startTicks: 810, parentPid: 200, ...inContainer(id) }), 8_300)
  const entry = { pid: 300, startTicks: 800, startedAt: bootTime + 8_000 }
  const shimNamed = { user: 'root', loginUser: '', exe: '/bin/containerd-shim', argv: ['containerd-shim'] }
  const by = [{ pid: 50, uid: 0, ...shimNamed, containerId: null }]
  t.deepEqual(
    observed()
      .slice(1)
      .map(({ origin }) => origin),
    [
      { via: 'entered', entry, execId: '', by },
      { via: 'entered', entry, execId: '', by },
    ],
  )
})

test('whoever makes a sibling of itself does not shake off where it came from', (t) => {
  const { tracker, observed } = sample(t)
  tracker.executed(shim, 1_000)
  tracker.executed(init, 6_000)
  // clone(2) with CLONE_PARENT: the child's parent is the maker's parent.
  tracker.forked({ ...fork, pid: 201, parentPid: 50, makerPid: 200 }, 7_000)
  tracker.executed(seenProcess({ pid: 201, startTicks: 700, parentPid: 50, cgroup: rootCgroup }), 7_001)
  t.is(observed().at(-1)?.container.name, 'web')
  t.deepEqual(observed().at(-1)?.origin, { via: 'init' })
})

test('the runtime in the container’s cgroup but the host’s mounts is not in the container yet', (t) => {
  const { tracker, observed } = sample(t)
  const { cgroup } = inContainer(id)
  tracker.executed(
    seenProcess({ pid: 200, startTicks: 600, parentPid: 50, cgroup, program: running('runc', 'init') }),
    6_000,
  )
  t.deepEqual(observed(), [])
  tracker.executed(init, 6_100)
  t.deepEqual(
    observed().map(({ process }) => process.argv),
    [['app']],
  )
})

test('a namespace of the container’s ties a process to it, until the container’s first process ends', (t) => {
  const { tracker, observed } = sample(t)
  tracker.executed(init, 6_000)
  const { mount, pid } = inContainer(id).namespaces
  tracker.executed(seenProcess({ pid: 400, namespaces: { ...hostNamespaces, mount } }), 7_000)
  tracker.executed(seenProcess({ pid: 401, namespaces: { ...hostNamespaces, pid } }), 7_000)
  t.deepEqual(
    observed()
      .slice(1)
      .map(({ origin }) => origin.via),
    ['entered', 'entered'],
  )
  tracker.exited(200, 600, 8_000, null)
  tracker.executed(seenProcess({ pid: 402, namespaces: { ...hostNamespaces, mount } }), 9_000)
  t.is(observed().length, 3)
})

test('an observation waits for the engine to tell what the container is', async (t) => {
  const { tracker, observed, know } = sample(t, [])
  tracker.executed(init, 6_000)
  know(sampleContainer({ id, name: 'web', details: null }))
  await sleep(30)
  t.deepEqual(observed(), [])
  know(web)
  await until(() => observed().length === 1)
  t.is(observed()[0]?.container, web)
})

test('a container that the engine never names is reported by its id after a second, and not held up again', async (t) => {
  const { tracker, observed, clock } = sample(t, [])
  tracker.executed(init, 6_000)
  clock.forward(1_001)
  await until(() => observed().length === 1)
  t.like(observed()[0]?.container, { id, name: id.slice(0, 12), details: null })
  tracker.executed({ ...init, program: running('second') }, 7_000)
  t.is(observed().length, 2)
})

test('a container that the engine is slow to report is not given up', async (t) => {
  const { tracker, observed, clock, pending, know } = sample(t, [])
  pending.add(id)
  tracker.executed(init, 6_000)
  clock.forward(5_000)
  await sleep(50)
  t.deepEqual(observed(), [])
  know(sampleContainer({ id, name: 'web' }))
  await until(() => observed().length === 1)
  t.is(observed()[0]?.container.name, 'web')
})

test('an inner container’s engine names it, though the outer one stands first in its path', async (t) => {
  const inner = sampleContainer({ id: other, name: 'inner' })
  const { tracker, observed } = sample(t, [inner])
  const cgroup = cgroupOf(['docker', id, 'docker', other])
  tracker.executed(seenProcess({ pid: 200, startTicks: 600, ...inContainer(other), cgroup }), 6_000)
  await until(() => observed().length === 1)
  t.is(observed()[0]?.container.name, 'inner')
})

test('a new init after a restart is init, while the engine still tells the old one’s pid', (t) => {
  const { tracker, observed } = sample(t)
  tracker.executed(init, 6_000)
  tracker.exited(200, 600, 7_000, { status: 1, signal: 0 })
  tracker.executed(seenProcess({ pid: 250, startTicks: 800, parentPid: 50, ...inContainer(id, 2) }), 8_000)
  t.deepEqual(observed().at(-1)?.origin, { via: 'init' })
})

test('ids that change without an exec are told once, also when only a fork shows them', (t) => {
  const { tracker, observed } = sample(t)
  tracker.executed({ ...init, uid: 1_000, euid: 1_000 }, 6_000)
  tracker.idsChanged(200, { uid: 1_000, euid: 0, capabilities: 1 }, 6_500)
  tracker.idsChanged(200, { uid: 1_000, euid: 0 }, 6_501)
  tracker.forked({ ...fork, pid: 201, parentPid: 200, makerPid: 200, uid: 0, euid: 0 }, 7_000)
  const changes = observed().filter(({ change }) => change === 'ids-changed')
  t.deepEqual(
    changes.map(({ process }) => [process.pid, process.uid, process.euid]),
    [
      [200, 1_000, 0],
      [200, 0, 0],
    ],
  )
})

test('what is found in /proc is told when it is new and when it changed, and only then', (t) => {
  const { tracker, observed } = sample(t)
  tracker.found(init, 6_000)
  tracker.found(init, 7_000)
  tracker.found({ ...init, program: running('other') }, 8_000)
  tracker.found({ ...init, program: running('other'), euid: 5 }, 9_000)
  t.deepEqual(
    observed().map(({ change }) => change),
    ['found', 'executed', 'ids-changed'],
  )
})

test('a stranger whose end is told is not found in /proc as if it lived', (t) => {
  const { tracker, table, observed } = sample(t)
  tracker.exited(200, 600, 6_000, { status: 0, signal: 0 })
  tracker.found(init, 6_001)
  t.is(table.get(200), undefined)
  t.deepEqual(observed(), [])
  // And takes nothing from who has its pid by now.
  tracker.found({ ...init, startTicks: 700 }, 7_001)
  tracker.exited(200, 650, 7_002, { status: 0, signal: 0 })
  t.is(table.get(200)?.startTicks, 700)
})

test('an orphan found under the init of a shared pid namespace descends from its own container’s init', (t) => {
  const db = sampleContainer({ id: other, name: 'db', details: { pid: 210 } })
  const { tracker, observed } = sample(t, [web, db])
  const shared = { ...inContainer(other).namespaces, pid: init.namespaces.pid }
  tracker.found(init, 6_000)
  tracker.found(
    seenProcess({ pid: 210, startTicks: 650, parentPid: 50, ...inContainer(other), namespaces: shared }),
    6_000,
  )
  tracker.found(
    seenProcess({ pid: 211, startTicks: 660, parentPid: 200, ...inContainer(other), namespaces: shared }),
    6_000,
  )
  t.deepEqual(
    observed().map(({ container, origin }) => [container.name, origin.via]),
    [
      ['web', 'init'],
      ['db', 'init'],
      ['db', 'init'],
    ],
  )
})

test('an orphan that is found in the session of an exec belongs to it, with all that it makes since', async (t) => {
  const proc = await fakeProc(t)
  await proc.add({ pid: 300, startTicks: 700, session: 250 })
  await proc.add({ pid: 301, startTicks: 700, session: 200 })
  const entry = { pid: 250, startTicks: 400 }
  const execId = 'e'.repeat(64)
  const { tracker, observed } = watched([web], proc.root, ({ containerId, process }) =>
    containerId === web.id && process.session === 250 ? { execId, entry } : null,
  )
  t.teardown(() => tracker.close())
  const orphan = (pid: number, parentPid = 200) =>
    seenProcess({ pid, startTicks: 700, parentPid, ...inContainer(id) })
  tracker.found(init, 6_000)
  tracker.found(orphan(300), 7_000)
  tracker.found(orphan(301), 7_000)
  tracker.forked({ ...fork, pid: 302, parentPid: 300, makerPid: 300 }, 7_001)
  tracker.executed(orphan(302, 300), 7_002)
  const byPid = new Map(observed().map(({ process, origin }) => [process.pid, origin]))
  t.deepEqual(
    [200, 300, 301, 302].map((pid) => byPid.get(pid)?.via),
    ['init', 'entered', 'init', 'entered'],
  )
  t.like(byPid.get(302), { execId, entry, by: [] })
})

test('in the host’s pid namespace an orphan found beside the init may be its own, one seen to enter is not', (t) => {
  const hostPid = sampleContainer({ id, name: 'web', details: { pid: 200, pidMode: 'host' } })
  const { tracker, observed } = sample(t, [hostPid])
  const beside = (pid: number) => seenProcess({ pid, startTicks: 700, parentPid: 50, ...inContainer(id) })
  tracker.found(init, 6_000)
  tracker.found(beside(300), 7_000)
  tracker.executed(beside(301), 7_000)
  t.deepEqual(
    observed().map(({ origin }) => origin.via),
    ['init', 'init', 'entered'],
  )
})

test('a step of a build has the build’s name', (t) => {
  const { tracker, observed } = sample(t)
  const cgroup = cgroupOf(['docker', 'buildkit', 'fkdqncjzranphcvswb72bmp1v'])
  tracker.executed(seenProcess({ ...inContainer(id), cgroup }), 6_000)
  t.like(observed()[0]?.container, { id: 'fkdqncjzranphcvswb72bmp1v', name: 'build', details: null })
})

function sample(t: ExecutionContext, known = [web], procRoot?: string) {
  const all = watched(known, procRoot)
  t.teardown(() => all.tracker.close())
  return all
}

test('a process of a container that ends by SIGKILL is told of as it was last; one that ends otherwise is not', (t) => {
  const { tracker, killed, bootTime } = sample(t)
  tracker.executed(shim, 1_000)
  tracker.executed(init, 6_000)
  for (const pid of [201, 202]) {
    tracker.forked({ ...fork, pid, parentPid: 200, makerPid: 200 }, 7_000)
    const seen = {
      pid,
      startTicks: 700,
      parentPid: 200,
      ...inContainer(id),
      program: running('eat', `${pid}`),
    }
    tracker.executed(seenProcess(seen), 7_001)
  }
  tracker.exited(201, 700, 8_000, { status: 0, signal: 9 })
  tracker.exited(202, 700, 8_100, { status: 0, signal: 15 })
  tracker.exited(50, 100, 8_200, { status: 0, signal: 9 })
  t.deepEqual(killed(), [
    {
      kind: 'process-killed',
      time: bootTime + 8_000,
      container: web,
      process: { pid: 201, startTicks: 700, exe: '/bin/eat', argv: ['eat', '201'] },
    },
  ])
})

test('of a container that kills without end only the first in a second are told', (t) => {
  const { tracker, killed } = sample(t)
  tracker.executed(init, 6_000)
  for (let pid = 1_000; pid < 1_100; pid++) {
    tracker.forked({ ...fork, pid, parentPid: 200, makerPid: 200 }, 7_000)
    tracker.exited(pid, 700, 8_000, { status: 0, signal: 9 })
  }
  t.is(killed().length, 32)
})

test('a container whose processes become more is named, and the host is not', async (t) => {
  const { tracker, grown } = sample(t)
  tracker.executed(shim, 1_000)
  tracker.executed(init, 6_000)
  for (let pid = 1_000; pid < 1_020; pid++) {
    tracker.forked({ ...fork, pid, parentPid: 50, makerPid: 50 }, 7_000)
    tracker.forked({ ...fork, pid: pid + 100, parentPid: 200, makerPid: 200 }, 7_000)
  }
  await until(() => grown.length > 0)
  t.deepEqual(grown, [id])
})

const group = { isGroup: false, isNamespaceInit: false }
const child = seenProcess({
  pid: 201,
  startTicks: 700,
  parentPid: 200,
  ...inContainer(id),
  program: running('eat'),
})

test('a victim of an OOM kill is named with its program, and by whether it is the first process', (t) => {
  const { tracker, victims } = sample(t)
  tracker.executed(shim, 1_000)
  tracker.executed(init, 6_000)
  tracker.executed(child, 7_000)
  const { cgroup } = inContainer(id)
  tracker.oomVictim({ pid: 201, startTicks: 700, cgroup, ...group }, 8_000)
  tracker.oomVictim({ pid: 200, startTicks: 600, cgroup, ...group, isGroup: true }, 8_001)
  tracker.oomVictim({ pid: 50, startTicks: 100, cgroup: rootCgroup, ...group }, 8_002)
  t.deepEqual(
    victims().map(({ process, isInit, isGroup }) => [process.argv, isInit, isGroup]),
    [
      [['eat'], false, false],
      [['app'], true, true],
    ],
  )
  t.is(victims()[0]?.container, web)
})

test('a victim that only has a thread id is found by its process, and one that is gone is not named', async (t) => {
  const proc = await fakeProc(t)
  await proc.add({ pid: 777, threadOf: 201 })
  const { tracker, victims } = sample(t, [web], proc.root)
  tracker.executed(init, 6_000)
  tracker.executed(child, 7_000)
  for (const threadId of [201, 777, 778]) tracker.oomVictim({ threadId }, 8_000)
  t.deepEqual(
    victims().map(({ process }) => process.pid),
    [201, 201],
  )
})

test('a first process is known as a victim before the engine has described its container, and after a restart', (t) => {
  const { tracker, victims, know } = sample(t, [])
  tracker.executed(shim, 1_000)
  tracker.executed(init, 6_000)
  tracker.executed(child, 7_000)
  tracker.oomVictim({ threadId: 200 }, 8_000)
  tracker.oomVictim({ threadId: 201 }, 8_000)
  tracker.exited(200, 600, 8_100, { status: 0, signal: 9 })
  // The engine still reports the pid of the run before.
  know(web)
  const next = seenProcess({ pid: 250, startTicks: 900, parentPid: 50, ...inContainer(id, 2) })
  tracker.executed(next, 9_000)
  tracker.oomVictim({ threadId: 250 }, 9_500)
  t.deepEqual(
    victims().map(({ isInit }) => isInit),
    [true, false, true],
  )
})

test('a victim that the table missed is named by its cgroup alone', (t) => {
  const { tracker, victims } = sample(t)
  const { cgroup } = inContainer(id)
  tracker.oomVictim({ pid: 200, startTicks: 600, cgroup, ...group }, 8_000)
  tracker.oomVictim({ pid: 300, startTicks: 600, cgroup, ...group, isNamespaceInit: true }, 8_000)
  const unknown = inContainer(other).cgroup
  tracker.oomVictim({ pid: 400, startTicks: 600, cgroup: unknown, ...group, isNamespaceInit: true }, 8_000)
  t.deepEqual(
    victims().map(({ container, isInit }) => [container.id, isInit]),
    [
      [id, true],
      [id, false],
      [other, true],
    ],
  )
})
