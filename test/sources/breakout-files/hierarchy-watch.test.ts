import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { findHierarchyMount } from '../../../agent/sources/breakout-files/hierarchies.ts'
import { hierarchyWatch } from '../../../agent/sources/breakout-files/hierarchy-watch.ts'
import { bootClock } from '../../../agent/linux/boot-clock.ts'
import type { KnownProcess } from '../../../agent/sources/processes/table/known-process.ts'
import { processTable } from '../../../agent/sources/processes/table/table.ts'
import { until } from '../../support/until.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'

const ownMounts = readFileSync('/proc/self/mountinfo', 'utf8')
const holder = 77

/** A /proc in which process 77 has the mounts of the test's own process, and the host has none. */
async function watch(t: ExecutionContext) {
  const procRoot = await temporaryDirectory()
  t.teardown(() => rmSync(procRoot, { recursive: true }))
  for (const pid of ['1', 'self', String(holder)]) mkdirSync(join(procRoot, pid))
  writeFileSync(join(procRoot, 'self/mountinfo'), '')
  writeFileSync(join(procRoot, `${holder}/mountinfo`), ownMounts)
  symlinkSync('/', join(procRoot, `${holder}/root`))
  const table = processTable({ clock: bootClock() })
  let time = 1_000_000
  const hierarchies = hierarchyWatch({
    table,
    procRoot,
    fileActivity: null,
    signal: new AbortController().signal,
    now: () => time,
    fail: (error) => t.fail(String(error)),
  })
  return {
    hierarchies,
    /** Refreshes with these hierarchies present. */
    refresh: (...names: string[]) => {
      time += 1_000
      writeFileSync(
        join(procRoot, '1/cgroup'),
        names.map((name, index) => `${index + 1}:${name}:/\n`).join(''),
      )
      hierarchies.refresh()
    },
    later: (ms: number) => (time += ms),
    addHolder: () => table.add(process77()),
  }
}

function process77(): KnownProcess {
  return {
    pid: holder,
    startTicks: 1,
    namespaces: { mount: 4_242, pid: 2, user: 3 },
    program: () => ({ exe: '/bin/sh', argv: ['sh'] }),
    membership: null,
    exit: null,
  } as unknown as KnownProcess
}

test('a hierarchy that exists at the start is not new, and a later one is reported once', async (t) => {
  const { hierarchies, refresh } = await watch(t)
  refresh('name=a')
  refresh('name=a', 'name=b')
  await until(() => hierarchies.takeNew().some(({ name, mount }) => name === 'name=b' && mount === null))
  refresh('name=a', 'name=b')
  t.deepEqual(hierarchies.takeNew(), [])
  refresh('name=a')
  refresh('name=a', 'name=b')
  await until(() => hierarchies.takeNew().some(({ name }) => name === 'name=b'))
})

test('the holders of a hierarchy are searched again after a while, and then its files are read', async (t) => {
  if (findHierarchyMount(ownMounts, 'pids') === null) {
    t.pass('cgroup v2 only')
    return
  }
  const { hierarchies, refresh, addHolder, later } = await watch(t)
  refresh('pids')
  await new Promise(setImmediate)
  t.deepEqual(hierarchies.readers(), [])
  addHolder()
  refresh('pids')
  await new Promise(setImmediate)
  t.deepEqual(hierarchies.readers(), [])
  later(31_000)
  refresh('pids')
  await until(() => hierarchies.readers().length === 2)
  t.deepEqual(
    hierarchies.readers().map(({ place }) => place.file),
    ['release_agent', 'notify_on_release'],
  )
  t.deepEqual(hierarchies.takeNew(), [])
})

test('a new hierarchy is reported with the processes that have it mounted', async (t) => {
  if (findHierarchyMount(ownMounts, 'pids') === null) {
    t.pass('cgroup v2 only')
    return
  }
  const { hierarchies, refresh, addHolder } = await watch(t)
  refresh()
  addHolder()
  refresh('pids')
  const [found] = await until(() => {
    const all = hierarchies.takeNew()
    return all.length > 0 && all
  })
  t.is(found?.name, 'pids')
  t.regex(found?.mount?.options ?? '', /pids/)
  t.deepEqual(
    found?.holders.map(({ pid }) => pid),
    [holder],
  )
})
