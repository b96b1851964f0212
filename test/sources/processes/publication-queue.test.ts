import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import type { Container } from '../../../agent/model/container.ts'
import type { ProcessObservation } from '../../../agent/model/observation.ts'
import { publicationQueue } from '../../../agent/sources/processes/publication-queue.ts'
import { describeProcess } from '../../../agent/sources/processes/table/describe.ts'
import type { Membership } from '../../../agent/sources/processes/table/known-process.ts'
import { processTable } from '../../../agent/sources/processes/table/table.ts'
import { uidMaps } from '../../../agent/linux/uid-map.ts'
import { sampleContainer } from '../../support/samples.ts'
import { until } from '../../support/until.ts'
import { fakeClock, hostNamespaces, knownProcess, sampleMembership } from './samples.ts'

const id = 'a'.repeat(64)
const web = sampleContainer({ id, name: 'web', details: { pid: 200 } })

test('a process of a known container is published immediately, with its container and origin', (t) => {
  const { add, published } = sample(t, { known: [web] })
  add(200, sampleMembership({ id, entry: { pid: 200, startTicks: 500, parentPid: 50 } }))
  t.is(published.length, 1)
  t.like(published[0], { kind: 'process', time: 200_000, container: web, origin: { via: 'init' } })
})

test('a step of an image build is published immediately: the engine never describes it', (t) => {
  const { add, published } = sample(t)
  add(1, sampleMembership({ id: 'step', build: true }))
  t.is(published[0]?.container.name, 'build')
})

test('a process waits until the engine has described its container, and is published soon after that', async (t) => {
  const { add, know, published } = sample(t)
  add(1, sampleMembership({ id, first: true }))
  know(sampleContainer({ id, name: 'web', details: null }))
  add(2, sampleMembership({ id }))
  await sleep(50)
  t.deepEqual(published, [])
  know(web)
  await until(() => published.length === 2)
  t.deepEqual(
    published.map(({ process, container, time }) => [process.pid, container.name, time]),
    [
      [1, 'web', 1_000],
      [2, 'web', 2_000],
    ],
  )
})

test('a container that the engine does not know is published by its id after five seconds', (t) => {
  const { add, everySecond, forward, published } = sample(t)
  add(1, sampleMembership({ id }))
  forward(4_999)
  everySecond()
  t.deepEqual(published, [])
  forward(1)
  everySecond()
  t.is(published[0]?.container.name, id.slice(0, 12))
})

test('a container that is gone before its inspect is published with its name after a second', (t) => {
  const { add, know, everySecond, forward, published } = sample(t)
  add(1, sampleMembership({ id }))
  know(sampleContainer({ id, name: 'web', details: null }))
  forward(1_000)
  everySecond()
  t.is(published[0]?.container.name, 'web')
})

test('a container is published under the id that the engine knows', (t) => {
  const nested = 'b'.repeat(64)
  const { add, published } = sample(t, { known: [web], correctedId: id })
  add(1, sampleMembership({ id: nested }))
  t.is(published[0]?.container.id, id)
})

test('nothing is published after the queue is closed', async (t) => {
  const { add, know, close, published } = sample(t)
  add(1, sampleMembership({ id }))
  close()
  know(web)
  await sleep(50)
  t.deepEqual(published, [])
})

function sample(
  t: ExecutionContext,
  { known = [], correctedId }: { known?: readonly Container[]; correctedId?: string } = {},
) {
  const clock = fakeClock()
  const byId = new Map(known.map((container) => [container.id, container]))
  const published: ProcessObservation[] = []
  const queue = publicationQueue({
    table: processTable({ clock }),
    membershipResolver: {
      container(membership) {
        membership.id = correctedId ?? membership.id
        return byId.get(membership.id)
      },
    },
    containers: {
      get: (one) => byId.get(one),
      all: () => [...byId.values()],
      running: () => [...byId.values()],
      isPending: () => false,
    },
    bootTime: 0,
    now: clock.sinceBoot,
    emit: (observation) => void published.push(observation),
  })
  t.teardown(() => queue.close())
  const maps = uidMaps('/nonexistent', hostNamespaces.user)
  function add(pid: number, membership: Membership): void {
    const subject = knownProcess({ pid, membership })
    const process = describeProcess(subject, 0, maps)
    queue.add({
      time: pid * 1_000,
      subject,
      membership,
      seen: { change: 'executed', process, hostFiles: null },
    })
  }
  return {
    add,
    know: (container: Container) => void byId.set(container.id, container),
    everySecond: queue.everySecond,
    close: queue.close,
    forward: clock.forward,
    published,
  }
}
