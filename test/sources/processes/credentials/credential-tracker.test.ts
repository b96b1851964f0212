import test, { type ExecutionContext } from 'ava'
import { sampleContainer } from '../../../support/samples.ts'
import type { FileOrigin } from '../../../../agent/model/observation.ts'
import { noProgram, type AtExec } from '../../../../agent/sources/processes/table/known-process.ts'
import { hostNamespaces, inContainer, seenProcess, watched } from '../samples.ts'

const id = 'a'.repeat(64)
const web = sampleContainer({ id, name: 'web', details: { pid: 200, user: '1000' } })
const user = { uid: 1_000, euid: 1_000, capabilities: 0 }
const init = seenProcess({ pid: 200, startTicks: 600, parentPid: 50, ...inContainer(id), ...user })
const child = { pid: 201, startTicks: 700, parentPid: 200, creatorPid: 200, uid: 1_000, euid: 1_000 }
const ofChild = seenProcess({ pid: 201, startTicks: 700, parentPid: 200, ...inContainer(id), ...user })
const setuid = { euid: 0, capabilities: 0xff }

function sample(t: ExecutionContext) {
  const all = watched([web])
  t.teardown(() => all.tracker.close())
  all.tracker.executed(init, 6_000)
  all.tracker.forked(child, 7_000)
  return { ...all, last: () => all.observed().at(-1) ?? t.fail() }
}

test('a setuid exec is one gain by its file, although its id change is reported first', (t) => {
  const { tracker, last } = sample(t)
  tracker.idsChanged(201, setuid, 7_001)
  t.like(last(), { change: 'ids-changed', gain: undefined })
  tracker.executed({ ...ofChild, ...setuid }, 7_002)
  t.like(last().gain, { way: 'file', isNew: true, before: { uid: 1_000, euid: 1_000, capabilities: 0n } })
  t.is(last().raisedCapabilities, 0xffn)
})

test('a setuid program that starts an exec is reported as a gain', (t) => {
  const { tracker, last } = sample(t)
  tracker.executed(
    seenProcess({ pid: 300, startTicks: 800, parentPid: 50, ...inContainer(id), ...user, ...setuid }),
    8_000,
  )
  t.like(last(), { origin: { via: 'entered' }, gain: { way: 'file', isNew: true } })
})

test('a gain is inherited by children until a program starts without privileges', (t) => {
  const { tracker, last } = sample(t)
  tracker.executed({ ...ofChild, ...setuid }, 7_002)
  tracker.idsChanged(201, { uid: 0 }, 7_003)
  t.like(last().gain, { way: 'file', isNew: false })
  tracker.forked(
    { ...child, pid: 202, startTicks: 710, parentPid: 201, creatorPid: 201, uid: 0, euid: 0 },
    7_100,
  )
  const grandchild = { ...ofChild, pid: 202, startTicks: 710, parentPid: 201 }
  tracker.executed({ ...grandchild, uid: 0, euid: 0, capabilities: 0xff }, 7_101)
  t.like(last().gain, { way: 'file', isNew: false, by: { pid: 201 } })
  tracker.executed(grandchild, 7_102)
  t.is(last().gain, undefined)
})

test('regaining root after dropping it is not a new gain', (t) => {
  const { tracker, last } = sample(t)
  tracker.idsChanged(201, { uid: 0, euid: 0, capabilities: 0xff }, 7_001)
  t.like(last().gain, { way: 'overwrite', isNew: true })
  tracker.idsChanged(201, { uid: 1_000, euid: 1_000, capabilities: 0 }, 7_002)
  tracker.idsChanged(201, { uid: 0, euid: 0, capabilities: 0xff }, 7_003)
  t.like(last().gain, { isNew: false })
})

test('the exec record alone determines the origin of a setuid file, even after the program has exited', (t) => {
  const overlay = 0x794c7630
  const ext4 = 0xef53
  const atExec = { magic: overlay, inUpper: false, owner: 0, mode: 0o4755, hasAmbientCapabilities: false }
  const table: [FileOrigin, Partial<AtExec>, number][] = [
    ['image', {}, 57],
    ['container', { inUpper: true }, 57],
    ['volume', { magic: ext4 }, 8],
    ['volume', { inUpper: true }, 58],
    ['tmpfs', { magic: 0x01021994 }, 59],
  ]
  for (const [origin, facts, exeDevice] of table) {
    const all = watched([web])
    t.teardown(() => all.tracker.close())
    all.tracker.executed({ ...init, exeDevice: 57, rootDevice: 57, atExec }, 6_000)
    all.tracker.forked(child, 7_000)
    const executed = { ...ofChild, ...setuid, exeDevice, rootDevice: 57, atExec: { ...atExec, ...facts } }
    all.tracker.executed(executed, 7_001)
    const status = { owner: 0, mode: 0o4755, hasCapabilities: null }
    t.deepEqual(all.observed().at(-1)?.gain?.file, { origin, status })
  }
})

test('capabilities without root come from the file unless they are ambient', (t) => {
  for (const hasAmbientCapabilities of [false, true]) {
    const { tracker, last } = sample(t)
    const atExec = { magic: 0xef53, inUpper: false, owner: 0, mode: 0o755, hasAmbientCapabilities }
    tracker.executed({ ...ofChild, capabilities: 0x80, atExec }, 7_001)
    t.is(last().file?.status?.hasCapabilities, !hasAmbientCapabilities)
    t.is(last().gain?.way, hasAmbientCapabilities ? undefined : 'file')
  }
})

test('a snapshot of /proc does not replace the exec record of the same file', (t) => {
  const { tracker, table } = sample(t)
  const atExec = { magic: 0xef53, inUpper: false, owner: 0, mode: 0o755, hasAmbientCapabilities: false }
  const program = (inode: number) => () => ({ ...noProgram, exeFile: { device: 8, inode } })
  tracker.executed({ ...ofChild, program: program(5), exeDevice: 8, rootDevice: 57, atExec }, 7_001)
  tracker.found({ ...ofChild, program: program(5), exeDevice: 8 }, 7_002)
  t.like(table.get(201), { atExec, rootDevice: 57 })
  tracker.found({ ...ofChild, program: program(6), exeDevice: 8 }, 7_003)
  t.like(table.get(201), { atExec: null, rootDevice: 0 })
})

test('capabilities in a nested user namespace do not count in the container', (t) => {
  const { tracker, last } = sample(t)
  const namespaces = { ...ofChild.namespaces, user: 99 }
  tracker.executed({ ...ofChild, namespaces, capabilities: 2 ** 41 - 1 }, 7_001)
  t.like(last(), { gain: undefined, raisedCapabilities: 0n, process: { containerUid: 1_000 } })
  // Back in the host's user namespace, where they count, they are new.
  tracker.executed(
    { ...ofChild, namespaces: { ...namespaces, user: hostNamespaces.user }, capabilities: 2 ** 41 - 1 },
    7_002,
  )
  t.is(last().raisedCapabilities, 2n ** 41n - 1n)
})

test('a process found as root in /proc is not a gain', (t) => {
  const { tracker, last } = sample(t)
  tracker.found(seenProcess({ pid: 400, startTicks: 900, parentPid: 50, ...inContainer(id) }), 9_000)
  t.is(last().gain, undefined)
  tracker.idsChanged(400, { uid: 1_000, euid: 1_000, capabilities: 0 }, 9_001)
  tracker.idsChanged(400, { uid: 0, euid: 0, capabilities: 0xff }, 9_002)
  t.is(last().gain, undefined)
})
