import test from 'ava'
import { agenda } from '../../../agent/sources/container-masks/schedule.ts'
import { sampleContainer } from '../../support/samples.ts'

const container = (id: string, startedAt = 1, pid = 4) => sampleContainer({ id, details: { startedAt, pid } })

/** The ids whose turn it is, which are then looked at. */
function turn(
  plan: ReturnType<typeof agenda>,
  running: ReturnType<typeof container>[],
  time: number,
  unsettled = false,
) {
  return plan.due(running, time).map(({ container: { id }, run }) => {
    plan.looked(run, time, unsettled)
    return id
  })
}

test('a container is looked at at once, a second later, and then every five minutes', (t) => {
  const plan = agenda()
  const times = [0, 250, 500, 750, 1_000, 1_250, 60_000, 300_999, 301_000, 301_250, 601_000]
  const looked = times.filter((time) => turn(plan, [container('a')], time).length > 0)
  t.deepEqual(looked, [0, 1_000, 301_000, 601_000])
})

test('one that has yet to become its program is looked at again soon', (t) => {
  const plan = agenda()
  t.deepEqual(turn(plan, [container('a')], 0, true), ['a'])
  t.deepEqual(turn(plan, [container('a')], 250, true), ['a'])
  t.deepEqual(turn(plan, [container('a')], 500), ['a'])
  t.deepEqual(turn(plan, [container('a')], 750), [])
})

test('another run of a container begins anew, and an ended one is forgotten', (t) => {
  const plan = agenda()
  const [first] = plan.due([container('a')], 0)
  plan.looked(first?.run ?? t.fail(), 0, false)
  const [second] = plan.due([container('a', 2)], 100)
  t.not(second?.run, first?.run)
  // A look at the former run that ends late says nothing of this one.
  plan.looked(first?.run ?? t.fail(), 100, false)
  t.is(plan.due([container('a', 2)], 100).length, 1)
  t.deepEqual(turn(plan, [], 200), [])
  t.is(plan.size, 0)
})

test('what is not known yet, or has no process, waits', (t) => {
  const plan = agenda()
  t.deepEqual(turn(plan, [sampleContainer({ details: null }), container('b', 1, 0)], 0), [])
  t.is(plan.size, 0)
})

test('thousands of containers are one entry each', (t) => {
  const plan = agenda()
  const all = Array.from({ length: 5_000 }, (_, index) => container(String(index)))
  t.is(turn(plan, all, 0).length, 5_000)
  t.is(turn(plan, all, 500).length, 0)
  t.is(turn(plan, all.slice(0, 10), 1_000).length, 10)
  t.is(plan.size, 10)
})
