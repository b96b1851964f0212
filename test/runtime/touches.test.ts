import test from 'ava'
import { sampleWriter } from '../support/samples.ts'
import { gatherTouches } from '../../agent/runtime/touches.ts'
import type { Sighting } from '../../agent/runtime/watch.ts'

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

test('who had ended is asked for again, and who was seen living is not', (t) => {
  const asked: number[] = []
  const touches = gatherTouches((pid) => {
    asked.push(pid)
    const isKnown = pid === 8 || asked.length > 3
    const writer = isKnown ? sampleWriter({ pid }) : sampleWriter({ pid, exe: '', argv: [] })
    return { writer, container: null, ended: pid === 7 }
  })
  touches.add(sighting(7, { modified: true }), 1000)
  touches.add(sighting(8), 1000)
  t.true(touches.askAgain())
  t.false(touches.askAgain())
  t.deepEqual(asked, [7, 8, 7, 7])
  t.like(touches.take().taken[0], { pid: 7, modified: true, writer: { exe: '/bin/sh' } })
})
