import test from 'ava'
import { createInspectionWaitQueue } from '../../../../agent/sources/docker/execs/inspection-wait-queue.ts'
import type { DockerEvent } from '../../../../agent/model/observation.ts'
import { dockerEvent } from '../../../support/docker-event.ts'

test('events of an inspected container pass, others wait in order', (t) => {
  const { queue, known, handled } = sample()
  known.add('web')
  queue.take(event('db', 'first'))
  queue.take(event('db', 'second'))
  queue.take(event('web', 'third'))
  t.deepEqual(handled, ['third'])
  known.add('db')
  queue.release()
  t.deepEqual(handled, ['third', 'first', 'second'])
})

test('waiting events of a container are handled before a new one', (t) => {
  const { queue, known, handled } = sample()
  queue.take(event('db', 'first'))
  known.add('db')
  queue.take(event('db', 'second'))
  t.deepEqual(handled, ['first', 'second'])
})

test('each event waits up to two seconds, even after an earlier one of its container has timed out', (t) => {
  const { queue, handled, forward } = sample()
  queue.take(event('db', 'first'))
  forward(1_000)
  queue.take(event('db', 'second'))
  forward(1_000)
  queue.release()
  t.deepEqual(handled, ['first'])
  queue.take(event('db', 'third'))
  forward(1_000)
  queue.release()
  t.deepEqual(handled, ['first', 'second'])
})

test('while a thousand events wait, further ones are handled immediately, not dropped', (t) => {
  const { queue, handled } = sample()
  for (let n = 0; n < 1_000; n += 1) queue.take(event('db', `${n}`))
  t.deepEqual(handled, [])
  queue.take(event('db', 'further'))
  t.deepEqual(handled, ['further'])
})

function sample() {
  const known = new Set<string>()
  const handled: string[] = []
  let now = 0
  const queue = createInspectionWaitQueue({
    isKnown: (id) => known.has(id),
    handle: ({ detail }) => void handled.push(detail),
    now: () => now,
  })
  return { queue, known, handled, forward: (ms: number) => void (now += ms) }
}

function event(actorId: string, detail: string): DockerEvent {
  return dockerEvent('exec_start', { actorId, detail })
}
