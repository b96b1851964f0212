import test from 'ava'
import { inLanes } from './lanes.ts'

test('a lane takes the next task when its last one has finished, and results keep the order of the tasks', async (t) => {
  const started: number[] = []
  const ends = new Map<number, () => void>()
  const all = inLanes(2, [0, 1, 2, 3], async (task) => {
    started.push(task)
    await new Promise<void>((resolve) => ends.set(task, resolve))
    return task * 10
  })
  const next = () => new Promise((resolve) => setImmediate(resolve))
  await next()
  t.deepEqual(started, [0, 1])
  ends.get(1)?.()
  await next()
  t.deepEqual(started, [0, 1, 2])
  for (const task of [2, 0]) ends.get(task)?.()
  await next()
  ends.get(3)?.()
  t.deepEqual(await all, [0, 10, 20, 30])
})
