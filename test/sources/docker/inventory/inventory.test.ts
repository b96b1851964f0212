import test, { type ExecutionContext } from 'ava'
import { Subject } from 'rxjs'
import { createDockerClient } from '../../../../agent/sources/docker/client/client.ts'
import { containerInventory } from '../../../../agent/sources/docker/inventory/inventory.ts'
import type { DockerEvent, Observation } from '../../../../agent/model/observation.ts'
import { dockerEvent } from '../../../support/docker-event.ts'
import { fakeEngine, sendJson, withVersion } from '../../../support/fake-engine.ts'
import { until } from '../../../support/until.ts'

const exec = '1'.repeat(64)
const web = { Id: 'abc', Name: '/web', State: { Status: 'running', Running: true }, ExecIDs: [exec] }

/** The inventory of an engine with one container and one exec in it, which may refuse to list them. */
async function watchInventory(t: ExecutionContext, engineState: { refuses: boolean }) {
  const engine = await fakeEngine(
    withVersion(({ path }, response) => {
      if (path === '/containers/json') {
        if (engineState.refuses) return sendJson(response, { message: 'busy' }, 500)
        return sendJson(response, [{ Id: 'abc', Names: ['/web'], State: 'running' }])
      }
      if (path === '/containers/abc/json') return sendJson(response, web)
      if (path !== `/exec/${exec}/json`) return sendJson(response, { message: 'No such' }, 404)
      const ProcessConfig = { entrypoint: 'top', arguments: [] }
      sendJson(response, { ID: exec, ContainerID: 'abc', Running: true, ExitCode: null, ProcessConfig })
    }),
  )
  t.teardown(() => engine.stop())
  const events$ = new Subject<DockerEvent>()
  const reconcile$ = new Subject<void>()
  const inventory = containerInventory({
    client: createDockerClient(engine.endpoint),
    events$,
    reconcile$,
    now: Date.now,
  })
  const seen: Observation[] = []
  const subscription = inventory.observe().subscribe((observation) => seen.push(observation))
  t.teardown(() => subscription.unsubscribe())
  return { engine, events$, reconcile$, inventory, seen, subscription, words: () => seen.map(wordOf) }
}

function wordOf(observation: Observation): string {
  if (observation.kind === 'source-status') return `${observation.up ? 'up' : 'down'} ${observation.mode}`
  if (observation.kind === 'container') return observation.action
  return observation.kind
}

test('the inventory is up once every container was inspected, and then reports running execs', async (t) => {
  const { words, inventory } = await watchInventory(t, { refuses: false })
  await until(() => words().includes('exec'))
  t.deepEqual(words(), ['seen', 'up api', 'exec'])
  t.deepEqual(
    inventory.view.running().map(({ name }) => name),
    ['web'],
  )
})

test('an inventory that cannot list reports it, still handles events, and retries', async (t) => {
  const engineState = { refuses: true }
  const { words, seen, events$ } = await watchInventory(t, engineState)
  await until(() => words().includes('down '))
  t.like(seen[0], { best: false })
  t.regex(
    (seen[0]?.kind === 'source-status' && seen[0].reason) || '',
    /GET \/containers\/json .* status 500: busy/,
  )
  events$.next(dockerEvent('start'))
  await until(() => words().includes('started'))
  engineState.refuses = false
  await until(() => words().includes('up api'))
  t.false(words().includes('seen'))
})

test('containers are listed again whenever events may have been missed', async (t) => {
  const { words, engine, reconcile$ } = await watchInventory(t, { refuses: false })
  await until(() => words().includes('up api'))
  reconcile$.next()
  reconcile$.next()
  await until(() => words().filter((word) => word === 'up api').length === 2)
  t.is(engine.asked.filter((asked) => asked.includes('/containers/json')).length, 2)
  t.is(words().filter((word) => word === 'seen').length, 1)
})

test('what exceeds the call queue is reported as lost', async (t) => {
  const { words, seen, events$ } = await watchInventory(t, { refuses: false })
  await until(() => words().includes('up api'))
  for (let number = 0; number < 5_100; number += 1)
    events$.next(dockerEvent('start', { actorId: `c${number}` }))
  await until(() => words().includes('events-lost'))
  const lost = seen.find((observation) => observation.kind === 'events-lost')
  t.like(lost, { source: 'containers', reason: 'queue-full' })
  // 8 inspects are running and 5,000 are queued; the other containers are reported from their events.
  t.is(lost?.count, 5_100 - 5_008)
})

test('no requests are sent after unsubscribing', async (t) => {
  const { words, engine, subscription, events$, reconcile$ } = await watchInventory(t, { refuses: false })
  await until(() => words().includes('exec'))
  subscription.unsubscribe()
  t.false(events$.observed || reconcile$.observed)
  const { length } = engine.asked
  await new Promise((resolve) => setTimeout(resolve, 500))
  t.is(engine.asked.length, length)
})
