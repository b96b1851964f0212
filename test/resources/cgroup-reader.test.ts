import { readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { type CgroupReader, cgroupReader } from '../../agent/resources/cgroup-reader.ts'
import { container, details, fixtureId, fixtureUsage } from './samples.ts'
import { type FixtureName, treeOf } from './tree.ts'

const read = { outcome: 'read', usage: fixtureUsage, missing: [] }

const hosts: [name: FixtureName, mode: CgroupReader['mode'], limitBytes: number][] = [
  ['hybrid-cgroupfs', 'cgroup-v1', 268_435_456],
  ['v1-systemd', 'cgroup-v1', 268_435_456],
  ['v2-systemd', 'cgroup-v2', 268_435_456], // the limit of its parent
  ['v2-nested', 'cgroup-v2', 536_870_912],
]

for (const [name, mode, limitBytes] of hosts) {
  test(`a container on a host like ${name} is read whole, and again`, (t) => {
    const tree = treeOf(t, name, fixtureId)
    const reader = cgroupReader(tree)
    t.teardown(() => reader.close())
    t.is(reader.mode, mode)
    const expected = { ...read, usage: { ...fixtureUsage, memory: { ...fixtureUsage.memory, limitBytes } } }
    t.deepEqual(reader.read(container()), expected)
    t.deepEqual(reader.read(container()), expected)
  })
}

test('files are kept open while their container lives, and for none that ended', (t) => {
  const tree = treeOf(t, 'hybrid-cgroupfs', fixtureId)
  const reader = cgroupReader(tree)
  reader.read(container())
  const kept = openBelow(tree.cgroupRoot)
  t.is(kept, 9)
  tree.write(join(tree.memory, 'memory.usage_in_bytes'), '20971527\n')
  const again = reader.read(container())
  t.is(again.outcome === 'read' && again.usage.memory.workingSetBytes, 7)
  t.is(openBelow(tree.cgroupRoot), kept)
  reader.retain(new Set([fixtureId]))
  t.is(openBelow(tree.cgroupRoot), kept)
  reader.retain(new Set())
  t.is(openBelow(tree.cgroupRoot), 0)
  reader.read(container())
  reader.close()
  t.is(openBelow(tree.cgroupRoot), 0)
})

test('a container that was started again is read by its new process', (t) => {
  const tree = treeOf(t, 'v2-nested', fixtureId)
  const reader = cgroupReader(tree)
  t.teardown(() => reader.close())
  reader.read(container())
  tree.write(join(tree.procRoot, '4243/cgroup'), `0::/elsewhere/${fixtureId}\n`)
  t.deepEqual(reader.read(container({ details: details({ pid: 4243 }) })), { outcome: 'vanished' })
  t.is(openBelow(tree.cgroupRoot), 0)
})

test('the files of 250 containers are read while those of 200 stay open', (t) => {
  const tree = treeOf(t, 'v2-nested', fixtureId)
  const reader = cgroupReader(tree)
  t.teardown(() => reader.close())
  const ids = Array.from({ length: 250 }, (_, index) => index.toString(16).padStart(64, '0'))
  ids.forEach((id, index) => {
    tree.write(join(tree.procRoot, `${index + 1}/cgroup`), `0::/docker/${fixtureId}/${id}\n`)
    for (const [name, text] of Object.entries(smallCgroup)) {
      tree.write(join(tree.cgroupRoot, 'docker', fixtureId, id, name), text)
    }
  })
  const outcomes = ids.map(
    (id, index) => reader.read(container({ id, details: details({ pid: index + 1 }) })).outcome,
  )
  t.true(outcomes.every((outcome) => outcome === 'read'))
  // Four of its own, and the limit of its parent.
  t.is(openBelow(tree.cgroupRoot), 200 * 5)
})

const smallCgroup = {
  'memory.current': '1\n',
  'memory.stat': 'inactive_file 0\n',
  'cpu.stat': 'usage_usec 1\n',
  'pids.current': '1\n',
}

test('a container that vanished before, or between two files, is no error', (t) => {
  const tree = treeOf(t, 'hybrid-cgroupfs', fixtureId)
  const reader = cgroupReader(tree)
  t.teardown(() => reader.close())
  reader.read(container())
  reader.retain(new Set())

  tree.remove(join(tree.cgroupRoot, 'pids/docker'))
  t.deepEqual(reader.read(container()), { outcome: 'vanished' })
  tree.remove(join(tree.procRoot, '4242'))
  t.deepEqual(reader.read(container()), { outcome: 'vanished' })
  t.is(openBelow(tree.cgroupRoot), 0)
})

test('a process that is not here, or not in the cgroup of its container, leaves the engine to be asked', (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  const reader = cgroupReader(tree)
  t.teardown(() => reader.close())
  t.deepEqual(reader.read(container({ details: details({ pid: 1 }) })), { outcome: 'not-here' })
  t.deepEqual(reader.read(container({ details: null })), { outcome: 'not-here' })
  t.deepEqual(reader.read(container({ id: 'f'.repeat(64) })), { outcome: 'not-here' })
})

test('a controller that the kernel lacks is named, and the others are read', (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  tree.write(join(tree.cgroupRoot, 'cgroup.controllers'), 'cpu pids\n')
  const reader = cgroupReader(tree)
  t.teardown(() => reader.close())
  t.deepEqual(reader.read(container()), {
    outcome: 'read',
    usage: { ...fixtureUsage, memory: { workingSetBytes: 0, limitBytes: null, oomKills: null } },
    missing: ['memory'],
  })
})

test('garbage in a file is said with the name of the file', (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  tree.write(join(tree.memory, 'memory.current'), '12\u00004')
  const reader = cgroupReader(tree)
  t.teardown(() => reader.close())
  t.deepEqual(reader.read(container()), {
    outcome: 'unreadable',
    reason: String.raw`memory.current holds "12\u00004" in place of a number`,
  })
})

test('a container whose first process left one of its cgroups is not read half from elsewhere', (t) => {
  const tree = treeOf(t, 'hybrid-cgroupfs', fixtureId)
  const path = `/docker/${fixtureId}`
  tree.write(
    join(tree.procRoot, '4242/cgroup'),
    `8:pids:${path}\n4:memory:/\n2:cpuacct:${path}\n1:cpu:${path}\n`,
  )
  const reader = cgroupReader(tree)
  t.teardown(() => reader.close())
  t.deepEqual(reader.read(container()), {
    outcome: 'unreadable',
    reason: 'its first process is not in its memory cgroup',
  })
})

test('a host where no cgroups are mounted leaves the engine to be asked', (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  tree.write(join(tree.procRoot, 'self/mountinfo'), '37 30 0:34 / /proc rw - proc proc rw\n')
  const reader = cgroupReader(tree)
  t.is(reader.mode, null)
  t.deepEqual(reader.read(container()), { outcome: 'not-here' })
})

/** How many files below a folder this process has open. */
function openBelow(folder: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => targetOf(fd).startsWith(folder)).length
}

function targetOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return '' // The descriptor that listed the folder is closed again.
  }
}
