import test from 'ava'
import type { Container } from '../../../../agent/model/container.ts'
import { createTaskNames, taskName } from '../../../../agent/sources/docker/inventory/task-names.ts'
import { sampleContainer } from '../../../support/samples.ts'

const task = (taskId: string, createdAt: number, overrides: Partial<Container> = {}): Container =>
  sampleContainer({
    id: `c-${taskId}`,
    name: 'shop.1',
    engineName: `shop.1.${taskId}`,
    labels: { 'com.docker.swarm.task.id': taskId, 'com.docker.swarm.task.name': `shop.1.${taskId}` },
    createdAt,
    ...overrides,
  })

const old = task('old4567', 1_000)
const fresh = task('new4567', 2_000)
const longer = 'shop.1.old456'

const table: [title: string, container: Container, others: Container[], name: string][] = [
  ['a task without others', old, [], 'shop.1'],
  ['the older task', old, [fresh], longer],
  ['the newer task', fresh, [old], 'shop.1'],
  ['the oldest of three tasks', old, [task('mid4567', 1_500), fresh], longer],
  ['the second of three tasks', task('mid4567', 1_500), [old, fresh], 'shop.1.mid456'],
  ['an older task that was created but not started', { ...old, state: 'created' }, [fresh], longer],
  ['an older task that is paused', { ...old, state: 'paused' }, [fresh], longer],
  ['an older task that restarts', { ...old, state: 'restarting' }, [fresh], longer],
  ['an older task that has exited', { ...old, state: 'exited' }, [fresh], 'shop.1'],
  ['an older task that is dead', { ...old, state: 'dead' }, [fresh], 'shop.1'],
  ['an older task next to a newer one that has exited', old, [{ ...fresh, state: 'exited' }], longer],
  ['an exited task that has the longer name', { ...old, name: longer, state: 'exited' }, [fresh], longer],
  ['a task with the longer name without others', { ...old, name: longer }, [], longer],
  ['a task created in the same millisecond, with the lower id', old, [task('z', 1_000)], longer],
  ['a task created in the same millisecond, with the higher id', old, [task('a', 1_000)], 'shop.1'],
  ['a task of unknown age', { ...old, createdAt: 0 }, [fresh], 'shop.1'],
  ['a task next to one of unknown age', old, [{ ...fresh, createdAt: 0 }], 'shop.1'],
  [
    'the older of two listed tasks',
    { ...old, createdAt: 1_999, details: null },
    [{ ...fresh, createdAt: 2_000, details: null }],
    longer,
  ],
  [
    'a task created in the same second as one that is only listed',
    old,
    [task('n', 1_900, { details: null })],
    'shop.1',
  ],
  ['a container without labels', sampleContainer({ name: 'shop.1' }), [fresh], 'shop.1'],
  [
    'a task next to a container that really has its name',
    fresh,
    [sampleContainer({ name: 'shop.1' })],
    'shop.1.new456',
  ],
  ['a task whose longer name another would have too', old, [fresh, task('old4568', 500)], 'shop.1.old4567'],
]

for (const [title, container, others, name] of table) {
  test(`${title} is named ${name}`, (t) => {
    t.is(taskName(container, others), name)
    t.is(taskName(container, others.toReversed()), name)
  })
}

test('names do not depend on the order in which tasks become known, and never change back', (t) => {
  const all = [old, task('mid4567', 1_500), fresh]
  const orders = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ]
  for (const order of orders) {
    const renamed: string[] = []
    const names = createTaskNames<{ container: Container }>(({ container }, previous) =>
      renamed.push(`${previous} ${container.name}`),
    )
    const holders = all.map((container) => ({ container }))
    const update = (index: number, latest: Container) => names.update(holders[index]!, latest)
    for (const index of order) update(index, all[index]!)
    const current = () => holders.map(({ container }) => container.name)
    const expected = [longer, 'shop.1.mid456', 'shop.1']
    t.deepEqual(current(), expected)
    names.forget(holders[2]!)
    for (const index of [0, 1]) update(index, { ...all[index]!, state: 'exited' })
    for (const index of [0, 1]) update(index, all[index]!)
    t.deepEqual(current(), expected)
    t.deepEqual(renamed.toSorted(), [`shop.1 shop.1.mid456`, `shop.1 ${longer}`])
  }
})

test('a removed task has no influence on the names of others', (t) => {
  const names = createTaskNames<{ container: Container }>(() => t.fail())
  const [first, second] = [{ container: fresh }, { container: old }]
  names.update(first, fresh)
  names.forget(first)
  names.update(second, old)
  t.is(second.container.name, 'shop.1')
})

test('a task that is renamed with docker rename gets exactly that name', (t) => {
  const names = createTaskNames<{ container: Container }>(() => undefined)
  const [first, second] = [{ container: old }, { container: fresh }]
  names.update(first, old)
  names.update(second, fresh)
  names.update(first, { ...old, name: 'aside', engineName: 'aside' })
  t.is(first.container.name, 'aside')
  t.is(second.container.name, 'shop.1')
})
