import test from 'ava'
import {
  containerWaitQueue,
  type WaitQueueOptions,
} from '../../../agent/sources/processes/container-wait-queue.ts'

test('items of a known container pass, others wait in order', (t) => {
  const { waiting, known, released } = sample()
  known.add('web')
  t.false(waiting.hold('web', 'web-1'))
  t.true(waiting.hold('db', 'db-1'))
  t.true(waiting.hold('db', 'db-2'))
  waiting.release()
  t.deepEqual(released, [])
  known.add('db')
  // A later item must not overtake the waiting ones.
  t.true(waiting.hold('db', 'db-3'))
  waiting.release()
  t.deepEqual(released, ['db-1', 'db-2', 'db-3'])
  t.is(waiting.size, 0)
})

test('items of a named container wait at most one second if no request to the engine is pending', (t) => {
  const { waiting, named, released, forward } = sample()
  named.add('db')
  waiting.hold('db', 'db-1')
  forward(900)
  waiting.hold('db', 'db-2')
  forward(100)
  waiting.release()
  t.deepEqual(released, ['db-1', 'db-2'])
  t.false(waiting.hold('db', 'db-3'))
  forward(64_000)
  waiting.release()
  t.true(waiting.hold('db', 'db-4'))
})

test('items of a container without a name wait for it at most five seconds, and a minute later wait again', (t) => {
  const { waiting, named, released, forward } = sample()
  waiting.hold('db', 'db-1')
  waiting.hold('cache', 'cache-1')
  forward(4_000)
  waiting.release()
  t.deepEqual(released, [])
  named.add('cache')
  waiting.release()
  t.deepEqual(released, ['cache-1'])
  forward(1_000)
  waiting.release()
  t.deepEqual(released, ['cache-1', 'db-1'])
  t.false(waiting.hold('db', 'db-2'))
  forward(60_000)
  waiting.release()
  t.true(waiting.hold('db', 'db-3'))
})

test('the engine is asked about a container as soon as something waits for it', (t) => {
  const asked: string[] = []
  const { waiting } = sample({ isPending: (container) => asked.push(container) > 0 })
  waiting.hold('db', 'db-1')
  waiting.release()
  t.deepEqual(asked, ['db'])
})

test('all items can be released at once', (t) => {
  const { waiting, released } = sample()
  waiting.hold('db', 'db-1')
  waiting.hold('cache', 'cache-1')
  waiting.releaseAll()
  t.deepEqual([released, waiting.size], [['db-1', 'cache-1'], 0])
})

test('while a request to the engine is pending, items wait for the answer, for at most 30 seconds', (t) => {
  const { waiting, known, pending, released, forward } = sample()
  pending.add('db').add('cache')
  waiting.hold('db', 'db-1')
  waiting.hold('cache', 'cache-1')
  forward(5_000)
  waiting.release()
  t.deepEqual(released, [])
  t.true(waiting.hold('db', 'db-2'))
  known.add('db')
  waiting.release()
  t.deepEqual(released, ['db-1', 'db-2'])
  forward(25_000)
  waiting.release()
  t.deepEqual(released, ['db-1', 'db-2', 'cache-1'])
  t.false(waiting.hold('cache', 'cache-2'))
})

test('items are released when the engine does not know the container', (t) => {
  const { waiting, pending, released, forward } = sample()
  pending.add('db')
  waiting.hold('db', 'db-1')
  forward(5_000)
  pending.delete('db')
  waiting.release()
  t.deepEqual(released, ['db-1'])
})

test('items above the limit are released, not dropped', (t) => {
  const { waiting, released } = sample({ maxItems: 3 })
  for (const item of ['a-1', 'b-1', 'a-2', 'a-3']) t.true(waiting.hold(item.slice(0, 1), item))
  t.deepEqual(released.toSorted(), ['a-1', 'a-2', 'b-1'])
  t.is(waiting.size, 1)
})

function sample(options: Partial<WaitQueueOptions<string>> = {}) {
  const known = new Set<string>()
  const named = new Set<string>()
  const pending = new Set<string>()
  const released: string[] = []
  let now = 0
  const waiting = containerWaitQueue<string>({
    isKnown: (container) => known.has(container),
    isNamed: (container) => named.has(container),
    isPending: (container) => pending.has(container),
    release: (item) => void released.push(item),
    now: () => now,
    ...options,
  })
  return { waiting, known, named, pending, released, forward: (ms: number) => void (now += ms) }
}
