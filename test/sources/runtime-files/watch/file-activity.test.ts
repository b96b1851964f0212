import test from 'ava'
import { sampleContainer, sampleWriter } from '../../../support/samples.ts'
import { until } from '../../../support/until.ts'
import { gatherTouches, joinTouches } from '../../../../agent/sources/runtime-files/watch/file-activity.ts'
import type { Sighting } from '../../../../agent/sources/runtime-files/watch/watch.ts'

const sighting = (pid: number, what: Partial<Sighting> = {}): Sighting => ({
  kind: 'sighting',
  path: '/usr/sbin/runc',
  pid,
  modified: false,
  closed: false,
  attributes: false,
  complete: false,
  entry: null,
  ...what,
})

test('what one process does is one touch, from the time it was first seen', (t) => {
  const asked: number[] = []
  const touches = gatherTouches((pid) => {
    asked.push(pid)
    return { writer: sampleWriter({ pid }), container: null }
  })
  touches.add(sighting(7, { modified: true }), 1000)
  touches.add(sighting(7, { closed: true }), 1001)
  touches.add(sighting(7, { entry: '/usr/sbin/runc' }), 1002)
  const { taken } = touches.take()
  t.deepEqual(asked, [7])
  t.is(taken.length, 1)
  t.like(taken[0], { time: 1000, pid: 7, modified: true, closed: true, attributes: false })
  t.deepEqual([...(taken[0]?.entries ?? [])], ['/usr/sbin/runc'])
})

test('what was taken waits no more', (t) => {
  const touches = gatherTouches(() => ({ writer: null, container: null }))
  t.false(touches.waiting())
  touches.add(sighting(7), 1000)
  t.true(touches.waiting())
  t.is(touches.take().taken.length, 1)
  t.false(touches.waiting())
  t.deepEqual(touches.take(), { taken: [], lost: 0 })
})

test('what a process did before and since is one touch, of whom it was known better to be', (t) => {
  let exe = '/bin/sh'
  const touches = gatherTouches((pid) => ({
    writer: sampleWriter({ pid, exe, argv: [] }),
    container: null,
  }))
  touches.add(sighting(7, { attributes: true }), 1000)
  const before = touches.take().taken
  exe = ''
  touches.add(sighting(7, { entry: '/usr/sbin/runc' }), 1005)
  touches.add(sighting(8), 1006)
  const [first, second, ...others] = joinTouches(before, touches.take().taken)
  t.like(first, { time: 1000, pid: 7, attributes: true, writer: { exe: '/bin/sh' } })
  t.deepEqual([...(first?.entries ?? [])], ['/usr/sbin/runc'])
  t.is(second?.pid, 8)
  t.deepEqual(others, [])
})

test('beyond 64 processes sightings are counted as lost', (t) => {
  const touches = gatherTouches(() => ({ writer: null, container: null }))
  for (let pid = 1; pid <= 70; pid++) touches.add(sighting(pid), 1000)
  touches.add(sighting(1, { closed: true }), 1001)
  const { taken, lost } = touches.take()
  t.is(taken.length, 64)
  t.is(lost, 6)
  t.true(taken[0]?.closed)
  t.is(touches.take().lost, 0)
})

/** Knows of nobody until it is asked for the nth time, and not after the mth, as long as there is more to be told. */
function knowing(from: number, to = Infinity) {
  const asked: number[] = []
  const identify = (pid: number) => {
    asked.push(pid)
    const isKnown = asked.length >= from && asked.length < to
    const writer = isKnown ? sampleWriter({ pid }) : sampleWriter({ pid, exe: '', argv: [] })
    return { writer, container: null, pending: asked.length < 6 ? ('writer' as const) : null }
  }
  return { asked, touches: gatherTouches(identify) }
}

test('who had ended is asked for until all is told, and who was seen living is not', async (t) => {
  const { asked, touches } = knowing(4)
  touches.add(sighting(7, { modified: true }), 1000)
  await touches.settled()
  touches.add(sighting(8), 1000)
  await touches.settled()
  t.deepEqual(asked, [7, 7, 7, 7, 7, 7, 8])
  t.like(touches.take().taken[0], { pid: 7, modified: true, writer: { exe: '/bin/sh' } })
})

test('who is known stays known though a flood of others makes the table forget', async (t) => {
  const { touches } = knowing(2, 4)
  touches.add(sighting(7, { modified: true }), 1000)
  await touches.settled()
  t.like(touches.take().taken[0], { pid: 7, writer: { exe: '/bin/sh' } })
})

test('who had ended is asked for from when it is seen, not only when somebody looks', async (t) => {
  const { asked, touches } = knowing(2)
  touches.add(sighting(7, { modified: true }), 1000)
  await until(() => asked.length === 6)
  t.like(touches.take().taken[0], { writer: { exe: '/bin/sh' } })
})

test('of a container that the engine has yet to name the name is waited for, and no more', async (t) => {
  let asked = 0
  const touches = gatherTouches((pid) => {
    asked += 1
    const container = sampleContainer({ name: asked < 3 ? 'aaaaaaaaaaaa' : 'web-1' })
    // It has run another program since.
    const writer = sampleWriter({ pid, exe: asked === 1 ? '/bin/sh' : '/bin/sleep' })
    return { writer, container, pending: asked < 3 ? 'container' : null }
  })
  touches.add(sighting(7, { modified: true }), 1000)
  await touches.settled()
  t.is(asked, 3)
  t.like(touches.take().taken[0], { writer: { exe: '/bin/sh' }, container: { name: 'web-1' } })
})

test('who will never be known is not asked for for ever', async (t) => {
  let asked = 0
  const touches = gatherTouches((pid) => {
    asked += 1
    return { writer: sampleWriter({ pid, exe: '', argv: [] }), container: null, pending: 'writer' }
  })
  touches.add(sighting(7), 1000)
  await touches.settled()
  t.is(asked, 101)
  t.is(touches.take().taken.length, 1)
})
