import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { Container } from '../../../agent/model/container.ts'
import {
  type CgroupReader,
  cgroupReader,
  type CgroupReaderOptions,
} from '../../../agent/sources/resources/cgroup-reader.ts'
import { pressureTrigger } from '../../../agent/sources/resources/pressure-trigger.ts'
import { until } from '../../support/until.ts'
import { container, details, fixtureId, fixtureUsage } from './samples.ts'
import { type FixtureName, type Tree, treeOf } from './tree.ts'

const read = { outcome: 'read', firstProcess: null, missing: [], slow: '' }
const noPressure = { cpu: null, memory: null, io: null }

const hosts: [name: FixtureName, mode: CgroupReader['mode'], limitBytes: number, hasPressure: boolean][] = [
  ['hybrid-cgroupfs', 'cgroup-v1', 268_435_456, true],
  ['v1-systemd', 'cgroup-v1', 268_435_456, false],
  ['v2-systemd', 'cgroup-v2', 268_435_456, true], // the limit of its parent
  ['v2-nested', 'cgroup-v2', 536_870_912, true],
]

for (const [name, mode, limitBytes, hasPressure] of hosts) {
  test(`a container on a host like ${name} is read completely, and repeatedly`, (t) => {
    const reader = readerOf(t, treeOf(t, name, fixtureId))
    t.is(reader.mode, mode)
    const usage = {
      ...fixtureUsage,
      memory: { ...fixtureUsage.memory, limitBytes },
      pressure: hasPressure ? fixtureUsage.pressure : noPressure,
    }
    const expected = { ...read, usage }
    t.deepEqual(reader.read(container()), expected)
    t.deepEqual(reader.read(container()), expected)
  })
}

test('files stay open while their container runs, and are closed when it exits', (t) => {
  const tree = treeOf(t, 'hybrid-cgroupfs', fixtureId)
  const reader = readerOf(t, tree)
  reader.read(container())
  const open = openBelow(tree.cgroupRoot)
  t.is(open, 14)
  tree.write(join(tree.memory, 'memory.usage_in_bytes'), '20971527\n')
  const again = reader.read(container())
  t.is(again.outcome === 'read' && again.usage.memory.workingSetBytes, 7)
  t.is(openBelow(tree.cgroupRoot), open)
  reader.retain(new Set([fixtureId]))
  t.is(openBelow(tree.cgroupRoot), open)
  reader.retain(new Set())
  t.is(openBelow(tree.cgroupRoot), 0)
  reader.read(container())
  reader.close()
  t.is(openBelow(tree.cgroupRoot), 0)
})

test('a restarted container is read through its new process', (t) => {
  const tree = treeOf(t, 'v2-nested', fixtureId)
  const reader = readerOf(t, tree)
  reader.read(container())
  tree.write(join(tree.procRoot, '4243/cgroup'), `0::/elsewhere/${fixtureId}\n`)
  t.deepEqual(reader.read(container({ details: details({ pid: 4243 }) })), { outcome: 'vanished' })
  t.is(openBelow(tree.cgroupRoot), 0)
})

test('containers beyond the limit of open files are still read, and the limit is reported', (t) => {
  const tree = treeOf(t, 'v2-nested', fixtureId)
  const reader = readerOf(t, tree, { maxFiles: 3 * 4 + 3 })
  const ids = Array.from({ length: 5 }, (_, index) => index.toString(16).padStart(64, '0'))
  ids.forEach((id, index) => {
    tree.write(join(tree.procRoot, `${index + 1}/cgroup`), `0::/docker/${fixtureId}/${id}\n`)
    for (const [name, text] of Object.entries(smallCgroup)) {
      tree.write(join(tree.cgroupRoot, 'docker', fixtureId, id, name), text)
    }
  })
  const readAll = () =>
    ids.map((id, index) => reader.read(container({ id, details: details({ pid: index + 1 }) })))
  const slow = 'the limit of open files is reached: raise it (LimitNOFILE, ulimit -n)'
  for (const readings of [readAll(), readAll()]) {
    t.deepEqual(
      readings.map((reading) => reading.outcome === 'read' && reading.slow),
      ['', '', '', slow, slow],
    )
    t.is(openBelow(tree.cgroupRoot), 3 * 4)
  }
  reader.retain(new Set(ids.slice(1)))
  t.deepEqual(
    readAll().map((reading) => reading.outcome === 'read' && reading.slow),
    ['', '', '', slow, slow],
  )
})

const smallCgroup = {
  'memory.current': '1\n',
  'memory.stat': 'inactive_file 0\n',
  'cpu.stat': 'usage_usec 1\n',
  'pids.current': '1\n',
}

test('a container that vanishes before or during a reading is not an error', (t) => {
  const tree = treeOf(t, 'hybrid-cgroupfs', fixtureId)
  const reader = readerOf(t, tree)
  reader.read(container())
  reader.retain(new Set())

  tree.remove(join(tree.cgroupRoot, 'pids/docker'))
  t.deepEqual(reader.read(container()), { outcome: 'vanished' })
  tree.remove(join(tree.procRoot, '4242'))
  t.deepEqual(reader.read(container()), { outcome: 'vanished' })
  t.is(openBelow(tree.cgroupRoot), 0)
})

test('a process that does not exist or is not in the cgroup of its container is reported as not here', (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  const reader = readerOf(t, tree)
  t.deepEqual(reader.read(container({ details: details({ pid: 1 }) })), { outcome: 'not-here' })
  t.deepEqual(reader.read(container({ details: null })), { outcome: 'not-here' })
  t.deepEqual(reader.read(container({ id: 'f'.repeat(64) })), { outcome: 'not-here' })
})

test('a controller that the kernel lacks is named, and the others are read', (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  tree.write(join(tree.cgroupRoot, 'cgroup.controllers'), 'cpu pids\n')
  const reader = readerOf(t, tree)
  t.deepEqual(reader.read(container()), {
    outcome: 'read',
    usage: {
      ...fixtureUsage,
      memory: { workingSetBytes: 0, limitBytes: null, swapBytes: null, oomKills: null },
      blockIo: null,
    },
    firstProcess: null,
    missing: ['memory'],
    slow: '',
  })
})

test('a limit changed by the engine is read immediately, one changed without the engine after five readings', (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  const reader = readerOf(t, tree)
  const web = container()
  const limitOf = (of: Container) => {
    const reading = reader.read(of)
    return reading.outcome === 'read' && reading.usage.pids.limit
  }
  t.is(limitOf(web), 100)
  tree.write(join(tree.memory, 'pids.max'), '50\n')
  for (let reading = 2; reading <= 5; reading++) t.is(limitOf(web), 100)
  t.is(limitOf(web), 50)
  tree.write(join(tree.memory, 'pids.max'), '30\n')
  t.is(limitOf({ ...web, details: details() }), 30)
})

test('a malformed file is reported by name', (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  tree.write(join(tree.memory, 'memory.current'), '12\u00004')
  const reader = readerOf(t, tree)
  t.deepEqual(reader.read(container()), {
    outcome: 'unreadable',
    reason: String.raw`memory.current holds "12\u00004" instead of a number`,
  })
})

test('a container whose first process left one of its cgroups is unreadable, not read from another cgroup', (t) => {
  const tree = treeOf(t, 'hybrid-cgroupfs', fixtureId)
  const path = `/docker/${fixtureId}`
  tree.write(
    join(tree.procRoot, '4242/cgroup'),
    `8:pids:${path}\n4:memory:/\n2:cpuacct:${path}\n1:cpu:${path}\n`,
  )
  const reader = readerOf(t, tree)
  t.deepEqual(reader.read(container()), {
    outcome: 'unreadable',
    reason: 'its first process is not in its memory cgroup',
  })
})

test('on a host without mounted cgroups a container is reported as not here', (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  tree.write(join(tree.procRoot, 'self/mountinfo'), '37 30 0:34 / /proc rw - proc proc rw\n')
  const reader = readerOf(t, tree)
  t.is(reader.mode, null)
  t.deepEqual(reader.read(container()), { outcome: 'not-here' })
})

test('a kernel notification for a container is passed on, and counts as a change once', async (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  const notices: string[] = []
  const reader = readerOf(t, tree, { onNotice: (id) => notices.push(id) })
  reader.read(container())
  t.false(reader.hasChanged(fixtureId))

  tree.write(join(tree.memory, 'memory.events'), 'max 40\noom_kill 2\n')
  await until(() => notices.length > 0)
  t.is(notices[0], fixtureId)
  t.false(reader.hasChanged(fixtureId), 'reclaim is not a change')

  tree.write(join(tree.memory, 'memory.events'), 'max 40\noom_kill 3\n')
  t.true(reader.hasChanged(fixtureId))
  reader.read(container())
  t.false(reader.hasChanged(fixtureId))

  notices.length = 0
  tree.write(join(tree.memory, 'pids.events'), 'max 4\n')
  await until(() => notices.length > 0)
  t.true(reader.hasChanged(fixtureId))
})

test('a container that exited is no longer watched', async (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  const notices: string[] = []
  const reader = readerOf(t, tree, { onNotice: (id) => notices.push(id) })
  reader.read(container())
  reader.retain(new Set())
  tree.write(join(tree.memory, 'pids.events'), 'max 4\n')
  await new Promise((resolve) => setTimeout(resolve, 50))
  t.deepEqual(notices, [])
  t.false(reader.hasChanged(fixtureId))
})

test('an announced wait for memory counts as a change until the container is read', (t) => {
  const { reader, triggers, notices } = triggered(t, {})
  reader.read(container())
  t.false(reader.hasChanged(fixtureId))
  t.regex(triggers[0]?.path ?? '', /\/unified\/docker\/3f1c[a5]+\/memory\.pressure$/)
  triggers[0]?.fire()
  t.deepEqual(notices, [fixtureId])
  t.true(reader.hasChanged(fixtureId))
  reader.read(container())
  t.false(reader.hasChanged(fixtureId))
})

test('the pressure trigger is registered once per container and closed when the container exits', (t) => {
  const { reader, triggers } = triggered(t, {})
  for (let reading = 0; reading < 3; reading++) reader.read(container())
  t.is(triggers.length, 1)
  t.true(triggers[0]?.isOpen)
  reader.retain(new Set())
  t.false(triggers[0]?.isOpen)
})

test('neither a kernel without pressure notifications nor a full file budget is a fault, because samples show pressure too', (t) => {
  const refusing = triggered(t, { triggerOf: () => null })
  t.like(refusing.reader.read(container()), { outcome: 'read', slow: '' })
  const full = triggered(t, { maxFiles: 14 + 1 })
  t.like(full.reader.read(container()), { outcome: 'read', slow: '' })
  t.is(full.triggers.length, 0)
})

test('nothing is written to a file that does not belong to the kernel', (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  const path = join(tree.memory, 'memory.pressure')
  const before = readFileSync(path, 'utf8')
  t.is(
    pressureTrigger(path, () => undefined),
    null,
  )
  t.is(
    pressureTrigger(`${path}.not-there`, () => undefined),
    null,
  )
  t.is(readFileSync(path, 'utf8'), before)
  t.is(openBelow(tree.cgroupRoot), 0)
})

for (const [name, files] of [
  ['v2-systemd', { 'pids.max': '50\n', 'cpu.max': '20000 100000\n' }],
  ['v1-systemd', { 'pids.max': '50\n', 'cpu.cfs_quota_us': '20000\n', 'cpu.cfs_period_us': '100000\n' }],
] as const) {
  test(`CPU and process limits of parents apply to the container on a host like ${name}`, (t) => {
    const tree = treeOf(t, name, fixtureId)
    for (const [file, text] of Object.entries(files)) tree.write(join(tree.parent(file), file), text)
    const reading = readerOf(t, tree).read(container())
    t.like(reading, { outcome: 'read', usage: { cpu: { quotaCores: 0.2 }, pids: { limit: 50 } } })
  })
}

test('a kernel without PSI reports no pressure, which is not a fault', (t) => {
  const tree = treeOf(t, 'v2-systemd', fixtureId)
  for (const name of ['cpu', 'memory', 'io']) tree.remove(join(tree.memory, `${name}.pressure`))
  const reading = readerOf(t, tree).read(container())
  t.deepEqual(reading, {
    ...read,
    usage: {
      ...fixtureUsage,
      memory: { ...fixtureUsage.memory, limitBytes: 268_435_456 },
      pressure: noPressure,
    },
  })
})

function readerOf(t: ExecutionContext, tree: Tree, options: Partial<CgroupReaderOptions> = {}): CgroupReader {
  const reader = cgroupReader({ ...tree, onNotice: () => undefined, ...options })
  t.teardown(() => reader.close())
  return reader
}

type Trigger = { path: string; fire: () => void; isOpen: boolean }

/** A reader for a hybrid host whose kernel announces pressure when the test triggers it. */
function triggered(t: ExecutionContext, options: Partial<CgroupReaderOptions>) {
  const triggers: Trigger[] = []
  const notices: string[] = []
  const reader = readerOf(t, treeOf(t, 'hybrid-cgroupfs', fixtureId), {
    onNotice: (id) => notices.push(id),
    triggerOf(path, fire) {
      const trigger = { path, fire, isOpen: true }
      triggers.push(trigger)
      return { close: () => void (trigger.isOpen = false) }
    },
    ...options,
  })
  return { reader, triggers, notices }
}

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
