import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { forkBurstDetector } from '../../../agent/sources/processes/fork-burst.ts'
import { until } from '../../support/until.ts'

function sample(t: ExecutionContext) {
  const grown: string[] = []
  const detector = forkBurstDetector((id) => grown.push(id))
  t.teardown(detector.close)
  const times = (count: number, report: (id: string) => void, id = 'web') => {
    for (let time = 0; time < count; time++) report(id)
  }
  return { grown, detector, times }
}

test('a container that grows by ten processes is reported, once for all forks in the meantime', async (t) => {
  const { grown, detector, times } = sample(t)
  times(5_000, detector.forked)
  t.deepEqual(grown, [], 'reported later, in one batch')
  await until(() => grown.length > 0)
  await sleep(50)
  t.deepEqual(grown, ['web'])
})

test('each container is counted separately', async (t) => {
  const { grown, detector, times } = sample(t)
  times(9, detector.forked, 'web')
  times(9, detector.forked, 'db')
  times(10, detector.forked, 'bomb')
  await until(() => grown.length > 0)
  t.deepEqual(grown, ['bomb'])
})

test('a container with as many exits as forks is not reported', async (t) => {
  const { grown, detector, times } = sample(t)
  for (let round = 0; round < 500; round++) {
    times(5, detector.forked)
    times(5, detector.exited)
  }
  await sleep(50)
  t.deepEqual(grown, [])
})

test('growth is counted from the minimum: earlier exits do not offset a fork bomb', async (t) => {
  const { grown, detector, times } = sample(t)
  times(100, detector.exited)
  times(10, detector.forked)
  await until(() => grown.length > 0)
  t.deepEqual(grown, ['web'])
})

test('slow growth is not reported', async (t) => {
  const { grown, detector, times } = sample(t)
  for (let round = 0; round < 10; round++) {
    detector.forked('web')
    times(11, detector.forget)
  }
  await sleep(50)
  t.deepEqual(grown, [])
})
