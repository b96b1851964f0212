import test from 'ava'
import { sampleContainer, sampleWriter } from '../../../support/samples.ts'
import { until } from '../../../support/until.ts'
import {
  collectFileActivity,
  mergeFileActivity,
} from '../../../../agent/sources/runtime-files/watch/file-activity.ts'
import type { FileEvent } from '../../../../agent/sources/runtime-files/watch/watch.ts'

const fileEvent = (pid: number, what: Partial<FileEvent> = {}): FileEvent => ({
  kind: 'file-event',
  path: '/usr/sbin/runc',
  pid,
  modified: false,
  closed: false,
  attributes: false,
  complete: false,
  entry: null,
  ...what,
})

test('operations of one process are merged, from the time of the first', (t) => {
  const lookups: number[] = []
  const activities = collectFileActivity((pid) => {
    lookups.push(pid)
    return { writer: sampleWriter({ pid }), container: null }
  })
  activities.add(fileEvent(7, { modified: true }), 1000)
  activities.add(fileEvent(7, { closed: true }), 1001)
  activities.add(fileEvent(7, { entry: '/usr/sbin/runc' }), 1002)
  const { taken } = activities.take()
  t.deepEqual(lookups, [7])
  t.is(taken.length, 1)
  t.like(taken[0], { time: 1000, pid: 7, modified: true, closed: true, attributes: false })
  t.deepEqual([...(taken[0]?.entries ?? [])], ['/usr/sbin/runc'])
})

test('taken activity is removed', (t) => {
  const activities = collectFileActivity(() => ({ writer: null, container: null }))
  t.false(activities.hasActivity())
  activities.add(fileEvent(7), 1000)
  t.true(activities.hasActivity())
  t.is(activities.take().taken.length, 1)
  t.false(activities.hasActivity())
  t.deepEqual(activities.take(), { taken: [], lost: 0 })
})

test('earlier and later activity of a process is merged, with the better identification', (t) => {
  let exe = '/bin/sh'
  const activities = collectFileActivity((pid) => ({
    writer: sampleWriter({ pid, exe, argv: [] }),
    container: null,
  }))
  activities.add(fileEvent(7, { attributes: true }), 1000)
  const before = activities.take().taken
  exe = ''
  activities.add(fileEvent(7, { entry: '/usr/sbin/runc' }), 1005)
  activities.add(fileEvent(8), 1006)
  const [first, second, ...others] = mergeFileActivity(before, activities.take().taken)
  t.like(first, { time: 1000, pid: 7, attributes: true, writer: { exe: '/bin/sh' } })
  t.deepEqual([...(first?.entries ?? [])], ['/usr/sbin/runc'])
  t.is(second?.pid, 8)
  t.deepEqual(others, [])
})

test('events from more than 64 processes are counted as lost', (t) => {
  const activities = collectFileActivity(() => ({ writer: null, container: null }))
  for (let pid = 1; pid <= 70; pid++) activities.add(fileEvent(pid), 1000)
  activities.add(fileEvent(1, { closed: true }), 1001)
  const { taken, lost } = activities.take()
  t.is(taken.length, 64)
  t.is(lost, 6)
  t.true(taken[0]?.closed)
  t.is(activities.take().lost, 0)
})

/**
 * Identifies processes only from the nth lookup on and before the mth, and reports them as pending for the first five
 * lookups.
 */
function identifying(from: number, to = Infinity) {
  const lookups: number[] = []
  const identify = (pid: number) => {
    lookups.push(pid)
    const isKnown = lookups.length >= from && lookups.length < to
    const writer = isKnown ? sampleWriter({ pid }) : sampleWriter({ pid, exe: '', argv: [] })
    return { writer, container: null, pending: lookups.length < 6 ? ('writer' as const) : null }
  }
  return { lookups, activities: collectFileActivity(identify) }
}

test('an exited process is looked up until its events are read, and a running process only once', async (t) => {
  const { lookups, activities } = identifying(4)
  activities.add(fileEvent(7, { modified: true }), 1000)
  await activities.attributed()
  activities.add(fileEvent(8), 1000)
  await activities.attributed()
  t.deepEqual(lookups, [7, 7, 7, 7, 7, 7, 8])
  t.like(activities.take().taken[0], { pid: 7, modified: true, writer: { exe: '/bin/sh' } })
})

test('an identified process stays identified when a flood of others evicts it from the table', async (t) => {
  const { activities } = identifying(2, 4)
  activities.add(fileEvent(7, { modified: true }), 1000)
  await activities.attributed()
  t.like(activities.take().taken[0], { pid: 7, writer: { exe: '/bin/sh' } })
})

test('an exited process is looked up from its first event on, not only at the next check', async (t) => {
  const { lookups, activities } = identifying(2)
  activities.add(fileEvent(7, { modified: true }), 1000)
  await until(() => lookups.length === 6)
  t.like(activities.take().taken[0], { writer: { exe: '/bin/sh' } })
})

test('for a container that the engine has not named yet, only the name is waited for', async (t) => {
  let lookups = 0
  const activities = collectFileActivity((pid) => {
    lookups += 1
    const container = sampleContainer({ name: lookups < 3 ? 'aaaaaaaaaaaa' : 'web-1' })
    // It has run another program since.
    const writer = sampleWriter({ pid, exe: lookups === 1 ? '/bin/sh' : '/bin/sleep' })
    return { writer, container, pending: lookups < 3 ? 'container' : null }
  })
  activities.add(fileEvent(7, { modified: true }), 1000)
  await activities.attributed()
  t.is(lookups, 3)
  t.like(activities.take().taken[0], { writer: { exe: '/bin/sh' }, container: { name: 'web-1' } })
})

test('a process that stays unknown is not looked up forever', async (t) => {
  let lookups = 0
  const activities = collectFileActivity((pid) => {
    lookups += 1
    return { writer: sampleWriter({ pid, exe: '', argv: [] }), container: null, pending: 'writer' }
  })
  activities.add(fileEvent(7), 1000)
  await activities.attributed()
  t.is(lookups, 101)
  t.is(activities.take().taken.length, 1)
})
