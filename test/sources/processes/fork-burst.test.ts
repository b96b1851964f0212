import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { growthWatch } from '../../../agent/sources/processes/fork-burst.ts'
import { until } from '../../support/until.ts'

function watching(t: ExecutionContext) {
  const grown: string[] = []
  const watch = growthWatch((id) => grown.push(id))
  t.teardown(watch.close)
  const times = (count: number, act: (id: string) => void, id = 'web') => {
    for (let time = 0; time < count; time++) act(id)
  }
  return { grown, watch, times }
}

test('a container is told of once it has ten processes more, and that once for all that were made meanwhile', async (t) => {
  const { grown, watch, times } = watching(t)
  times(5_000, watch.made)
  t.deepEqual(grown, [], 'told later, and together')
  await until(() => grown.length > 0)
  await sleep(50)
  t.deepEqual(grown, ['web'])
})

test('each container is counted for itself', async (t) => {
  const { grown, watch, times } = watching(t)
  times(9, watch.made, 'web')
  times(9, watch.made, 'db')
  times(10, watch.made, 'bomb')
  await until(() => grown.length > 0)
  t.deepEqual(grown, ['bomb'])
})

test('a container that makes as many as end does not grow', async (t) => {
  const { grown, watch, times } = watching(t)
  for (let round = 0; round < 500; round++) {
    times(5, watch.made)
    times(5, watch.ended)
  }
  await sleep(50)
  t.deepEqual(grown, [])
})

test('growth begins at the least: processes that ended before make no room for a bomb', async (t) => {
  const { grown, watch, times } = watching(t)
  times(100, watch.ended)
  times(10, watch.made)
  await until(() => grown.length > 0)
  t.deepEqual(grown, ['web'])
})

test('who makes a process now and then is forgotten in between', async (t) => {
  const { grown, watch, times } = watching(t)
  for (let round = 0; round < 10; round++) {
    watch.made('web')
    times(11, watch.forget)
  }
  await sleep(50)
  t.deepEqual(grown, [])
})
