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

test('host processes are recorded but not reported', (t) => {
  const { tracker, table, observed } = sample(t)
  tracker.executed(shim, 1_000)
  t.is(table.get(50)?.program().argv[0], 'containerd-shim')
  t.deepEqual(observed(), [])
})

test('the container’s first process and its descendants have the origin init', (t) => {
  const { tracker, observed } = sample(t)
  tracker.executed(shim, 1_000)
  tracker.executed(init, 6_000)
  tracker.forked({ ...fork, pid: 201, parentPid: 200, creatorPid: 200 }, 7_000)
  tracker.executed(seenProcess({ pid: 201, startTicks: 700, parentPid: 200, ...inContainer(id) }), 7_001)
  t.deepEqual(
    observed().map(({ process, origin }) => [process.pid, origin]),
    [
      [200, { via: 'init' }],
      [201, { via: 'init' }],
    ],
  )
})

test('a process from outside and its descendants have the origin entered, even when orphaned', (t) => {
  const { tracker, observed, bootTime } = sample(t)
  tracker.executed(shim, 1_000)
  tracker.executed(init, 6_000)
  tracker.executed(seenProcess({ pid: 300, startTicks: 800, parentPid: 50, ...inContainer(id) }), 8_000)
  tracker.forked({ ...fork, pid: 301, startTicks: 810, parentPid: 300, creatorPid: 300 }, 8_100)
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

test('a child created with CLONE_PARENT inherits its creator’s origin', (t) => {
  const { tracker, observed } = sample(t)
  tracker.executed(shim, 1_000)
  tracker.executed(init, 6_000)
  // clone(2) with CLONE_PARENT: the child's parent is the creator's parent.
  tracker.forked({ ...fork, pid: 201, parentPid: 50, creatorPid: 200 }, 7_000)
  tracker.executed(seenProcess({ pid: 201, startTicks: 700, parentPid: 50, cgroup: rootCgroup }), 7_001)
  t.is(observed().at(-1)?.container.name, 'web')
  t.deepEqual(observed().at(-1)?.origin, { via: 'init' })
})

test('the runtime in the container’s cgroup but the host’s mount namespace is not in the container yet', (t) => {
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

test('sharing a namespace attributes a process to the container, until the container’s first process exits', (t) => {
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

test('an observation waits until the engine has described the container', async (t) => {
  const { tracker, observed, know } = sample(t, [])
  tracker.executed(init, 6_000)
  know(sampleContainer({ id, name: 'web', details: null }))
  await sleep(30)
  t.deepEqual(observed(), [])
  know(web)
  await until(() => observed().length === 1)
  t.is(observed()[0]?.container, web)
})

test('a container unknown to the engine is reported by its id after five seconds, and not delayed again', async (t) => {
  const { tracker, observed, clock } = sample(t, [])
  tracker.executed(init, 6_000)
  clock.forward(5_001)
  await until(() => observed().length === 1)
  t.like(observed()[0]?.container, { id, name: id.slice(0, 12), details: null })
  tracker.executed({ ...init, program: running('second') }, 7_000)
  t.is(observed().length, 2)
})

test('a process found in /proc began when it started, and one that is known when it changed', (t) => {
  const { tracker, observed } = sample(t)
  tracker.found(init, 60_000)
  tracker.found({ ...init, euid: 0, uid: 0, program: running('second') }, 61_000)
  tracker.executed({ ...init, program: running('third') }, 62_000)
  t.deepEqual(
    observed().map(({ since }) => since),
    [observed()[0]?.process.startedAt, undefined, undefined],
  )
})

test('observations wait longer while a request to the engine is pending', async (t) => {
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

test('a container known to the engine is found although an outer one comes first in the cgroup path', async (t) => {
  const inner = sampleContainer({ id: other, name: 'inner' })
  const { tracker, observed } = sample(t, [inner])
  const cgroup = cgroupOf(['docker', id, 'docker', other])
  tracker.executed(seenProcess({ pid: 200, startTicks: 600, ...inContainer(other), cgroup }), 6_000)
  await until(() => observed().length === 1)
  t.is(observed()[0]?.container.name, 'inner')
})

test('the new init after a restart is recognised while the engine still reports the old pid', (t) => {
  const { tracker, observed } = sample(t)
  tracker.executed(init, 6_000)
  tracker.exited(200, 600, 7_000, { status: 1, signal: 0 })
  tracker.executed(seenProcess({ pid: 250, startTicks: 800, parentPid: 50, ...inContainer(id, 2) }), 8_000)
  t.deepEqual(observed().at(-1)?.origin, { via: 'init' })
})

test('an id change without an exec is reported once, even if only a fork reveals it', (t) => {
  const { tracker, observed } = sample(t)
  tracker.executed({ ...init, uid: 1_000, euid: 1_000 }, 6_000)
  tracker.idsChanged(200, { uid: 1_000, euid: 0, capabilities: 1 }, 6_500)
  tracker.idsChanged(200, { uid: 1_000, euid: 0 }, 6_501)
  tracker.forked({ ...fork, pid: 201, parentPid: 200, creatorPid: 200, uid: 0, euid: 0 }, 7_000)
  const changes = observed().filter(({ change }) => change === 'ids-changed')
  t.deepEqual(
    changes.map(({ process }) => [process.pid, process.uid, process.euid]),
    [
      [200, 1_000, 0],
      [200, 0, 0],
    ],
  )
})

test('a process found in /proc is reported only when it is new or has changed', (t) => {
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

test('an unknown process whose exit was reported is not added as running from /proc', (t) => {
  const { tracker, table, observed } = sample(t)
  tracker.exited(200, 600, 6_000, { status: 0, signal: 0 })
  tracker.found(init, 6_001)
  t.is(table.get(200), undefined)
  t.deepEqual(observed(), [])
  // The exit of an older process does not affect the current one with the same pid.
  tracker.found({ ...init, startTicks: 700 }, 7_001)
  tracker.exited(200, 650, 7_002, { status: 0, signal: 0 })
  t.is(table.get(200)?.startTicks, 700)
})

test('an orphan found under the init of a shared pid namespace is attributed to its own container’s init', (t) => {
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

test('an orphan found in the session of an exec is attributed to that exec, with its later children', async (t) => {
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
  tracker.forked({ ...fork, pid: 302, parentPid: 300, creatorPid: 300 }, 7_001)
  tracker.executed(orphan(302, 300), 7_002)
  const byPid = new Map(observed().map(({ process, origin }) => [process.pid, origin]))
  t.deepEqual(
    [200, 300, 301, 302].map((pid) => byPid.get(pid)?.via),
    ['init', 'entered', 'init', 'entered'],
  )
  t.like(byPid.get(302), { execId, entry, by: [] })
})

test('in the host’s pid namespace a sibling of the init found in /proc may be an orphan; one seen entering is not', (t) => {
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

test('an image build step is reported under the name build', (t) => {
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

test('a container process that ends by SIGKILL is reported with its last program; other exits are not', (t) => {
  const { tracker, killed, bootTime } = sample(t)
  tracker.executed(shim, 1_000)
  tracker.executed(init, 6_000)
  for (const pid of [201, 202]) {
    tracker.forked({ ...fork, pid, parentPid: 200, creatorPid: 200 }, 7_000)
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

test('SIGKILL reports are limited per container and second', (t) => {
  const { tracker, killed } = sample(t)
  tracker.executed(init, 6_000)
  for (let pid = 1_000; pid < 1_100; pid++) {
    tracker.forked({ ...fork, pid, parentPid: 200, creatorPid: 200 }, 7_000)
    tracker.exited(pid, 700, 8_000, { status: 0, signal: 9 })
  }
  t.is(killed().length, 32)
})

test('a fork burst is reported for a container, not for the host', async (t) => {
  const { tracker, grown } = sample(t)
  tracker.executed(shim, 1_000)
  tracker.executed(init, 6_000)
  for (let pid = 1_000; pid < 1_020; pid++) {
    tracker.forked({ ...fork, pid, parentPid: 50, creatorPid: 50 }, 7_000)
    tracker.forked({ ...fork, pid: pid + 100, parentPid: 200, creatorPid: 200 }, 7_000)
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

test('an OOM victim is reported with its program and whether it is the init', (t) => {
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

test('an OOM victim known by thread id is resolved to its process; an exited one is not reported', async (t) => {
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

test('an init is recognised as OOM victim before the engine has described its container, and after a restart', (t) => {
  const { tracker, victims, know } = sample(t, [])
  tracker.executed(shim, 1_000)
  tracker.executed(init, 6_000)
  tracker.executed(child, 7_000)
  tracker.oomVictim({ threadId: 200 }, 8_000)
  tracker.oomVictim({ threadId: 201 }, 8_000)
  tracker.exited(200, 600, 8_100, { status: 0, signal: 9 })
  // The engine still reports the pid of the previous run.
  know(web)
  const next = seenProcess({ pid: 250, startTicks: 900, parentPid: 50, ...inContainer(id, 2) })
  tracker.executed(next, 9_000)
  tracker.oomVictim({ threadId: 250 }, 9_500)
  t.deepEqual(
    victims().map(({ isInit }) => isInit),
    [true, false, true],
  )
})

test('an OOM victim missing from the table is attributed by its cgroup', (t) => {
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
