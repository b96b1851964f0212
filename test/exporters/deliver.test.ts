import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { Subject } from 'rxjs'
import { openStore } from '../../agent/store/store.ts'
import { alertmanagerReceiver } from '../../exporters/alertmanager/receiver.ts'
import { deliver } from '../../exporters/deliver.ts'
import { startHttpReceiver } from '../support/receiver.ts'
import { until } from '../support/until.ts'
import { sampleFinding } from '../support/samples.ts'
import { describeRules } from '../support/describe.ts'

const am = { name: 'am', queuedBy: 'fingerprint' } as const

type Posted = { labels: { fingerprint: string }; endsAt: string }[]

/** A fake Alertmanager with scripted responses, which a real one does not support. */
async function startReceiver(t: ExecutionContext) {
  const receiver = await startHttpReceiver(t)
  const posts = () => receiver.requests.map(({ body }) => JSON.parse(body) as Posted)
  return {
    url: `${receiver.url}/prefix/`,
    posts,
    replyWith: (reply: (response: ServerResponse, alerts: Posted) => void) =>
      receiver.replyWith((response, { body }) => reply(response, JSON.parse(body) as Posted)),
    fingerprints: () => posts().map((alerts) => alerts.map(({ labels }) => labels.fingerprint).join(' ')),
  }
}

/** The real store in memory, the real delivery, and a clock controlled by the test. */
function startDelivery(t: ExecutionContext, url: string, timeoutMs = 5_000) {
  let clock = Date.parse(sampleFinding().last_seen)
  const outcomes: Record<string, number> = {}
  const health: boolean[] = []
  const wake$ = new Subject<void>()
  const store = openStore({
    directory: '/proc/nowhere',
    onModeChange: () => undefined,
    onMovedAside: () => undefined,
  })
  const config = { url, min_severity: 'info', timeout: timeoutMs } as const
  const subscription = deliver({
    receiver: { ...alertmanagerReceiver(config), name: 'am' },
    describe: describeRules,
    store,
    wake$,
    now: () => clock,
    onOutcome: (outcome, count) => (outcomes[outcome] = (outcomes[outcome] ?? 0) + count),
    onHealth: (reachable) => health.push(reachable),
  }).subscribe()
  t.teardown(() => subscription.unsubscribe())
  return {
    store,
    outcomes,
    health,
    save: (id: string, rest = {}) => {
      store.save(sampleFinding({ id, fingerprint: `fp-${id}`, ...rest }), null, [am], clock)
      wake$.next()
    },
    advanceClock: (minutes: number) => {
      clock += minutes * 60_000
      wake$.next()
    },
  }
}

test('a finding is posted immediately, repeated after a minute, and no longer after its hold time', async (t) => {
  const receiver = await startReceiver(t)
  const { save, advanceClock, store, outcomes } = startDelivery(t, receiver.url)
  save('1')
  await until(() => receiver.posts().length === 1)
  await sleep(100)
  t.is(receiver.posts().length, 1)
  advanceClock(1)
  await until(() => receiver.posts().length === 2)
  advanceClock(15)
  await until(() => receiver.posts().length === 3)
  await until(() => store.nextDue('am', Number.MAX_SAFE_INTEGER) === null)
  t.deepEqual(outcomes, { delivered: 1 })
})

test('many findings are sent in bounded batches, oldest first', async (t) => {
  const receiver = await startReceiver(t)
  const { save } = startDelivery(t, receiver.url)
  for (let n = 100; n < 250; n += 1) save(String(n))
  await until(() => receiver.posts().flat().length >= 150)
  t.true(receiver.posts().every((alerts) => alerts.length <= 64))
  const order = receiver
    .posts()
    .flat()
    .map(({ labels }) => labels.fingerprint)
  t.deepEqual(order, order.toSorted())
})

test('one rejected alert does not block the others', async (t) => {
  const receiver = await startReceiver(t)
  receiver.replyWith((response, alerts) => {
    response.statusCode = alerts.some(({ labels }) => labels.fingerprint === 'fp-2') ? 400 : 200
    response.end('{}')
  })
  const { store, outcomes, advanceClock } = startDelivery(t, receiver.url)
  for (const id of ['1', '2', '3']) {
    store.save(
      sampleFinding({ id, fingerprint: `fp-${id}` }),
      null,
      [am],
      Date.parse(sampleFinding().last_seen),
    )
  }
  advanceClock(0)
  await until(() => receiver.posts().length === 4)
  t.deepEqual(receiver.fingerprints(), ['fp-1 fp-2 fp-3', 'fp-1', 'fp-2', 'fp-3'])
  await until(() => outcomes['delivered'] === 2)
  t.is(outcomes['rejected'], 1)
  t.is(store.pending('am'), 0)
})

test('a failed delivery is retried, keeps the order, and is reported once', async (t) => {
  const receiver = await startReceiver(t)
  let answers = 0
  receiver.replyWith((response) => {
    answers += 1
    response.statusCode = answers <= 2 ? 503 : 200
    response.end('{}')
  })
  const { save, outcomes, health, store } = startDelivery(t, receiver.url)
  save('1')
  await until(() => outcomes['delivered'] === 1)
  t.deepEqual(receiver.fingerprints(), ['fp-1', 'fp-1', 'fp-1'])
  t.is(outcomes['failed'], 2)
  t.deepEqual(health, [false, true])
  t.is(store.pending('am'), 0)
})

test('a request without a response times out and is retried', async (t) => {
  const receiver = await startReceiver(t)
  receiver.replyWith((response) => receiver.posts().length > 1 && response.end('{}'))
  const { save, outcomes } = startDelivery(t, receiver.url, 200)
  save('1')
  await until(() => outcomes['delivered'] === 1)
  t.is(outcomes['failed'], 1)
})

test('while an instance is down, new findings cause no additional attempts', async (t) => {
  const { save, outcomes } = startDelivery(t, 'http://127.0.0.1:1')
  for (let n = 0; n < 50; n += 1) save(String(n))
  await until(() => outcomes['failed'] !== undefined)
  for (let n = 50; n < 100; n += 1) save(String(n))
  await sleep(200)
  t.is(outcomes['failed'], 50)
})

test('an event that could not be delivered for a day expires; a firing condition does not', async (t) => {
  const receiver = await startReceiver(t)
  receiver.replyWith((response) => {
    response.statusCode = 500
    response.end()
  })
  const { save, advanceClock, outcomes } = startDelivery(t, receiver.url)
  save('1')
  save('2', { kind: 'condition' })
  await until(() => (outcomes['failed'] ?? 0) > 0)
  receiver.replyWith((response) => response.end('{}'))
  advanceClock(25 * 60)
  await until(() => outcomes['delivered'] === 1)
  t.is(outcomes['expired'], 1)
  t.is(receiver.fingerprints().at(-1), 'fp-2')
})

test('a burst of 5,000 findings arrives completely, in order, in batches', async (t) => {
  const receiver = await startReceiver(t)
  const { store, advanceClock } = startDelivery(t, receiver.url)
  const clock = Date.parse(sampleFinding().last_seen)
  const ids = Array.from({ length: 5_000 }, (_, n) => String(n).padStart(5, '0'))
  for (const id of ids) store.save(sampleFinding({ id, fingerprint: `fp-${id}` }), null, [am], clock)
  advanceClock(0)
  await until(() => store.pending('am') === 0, 60_000)
  t.deepEqual(
    receiver.posts().flatMap((alerts) => alerts.map(({ labels }) => labels.fingerprint)),
    ids.map((id) => `fp-${id}`),
  )
  t.is(receiver.posts().length, Math.ceil(5_000 / 64))
})

test('a clock that jumps back or forward neither repeats nor withholds findings', async (t) => {
  const receiver = await startReceiver(t)
  const { save, advanceClock, store } = startDelivery(t, receiver.url)
  save('1', { kind: 'condition' })
  await until(() => receiver.posts().length === 1)
  advanceClock(-120)
  await until(() => receiver.posts().length === 2)
  save('2', { kind: 'condition' })
  await until(() => receiver.posts().length === 3)
  t.deepEqual(receiver.fingerprints(), ['fp-1', 'fp-1', 'fp-2'])
  await sleep(200)
  t.is(receiver.posts().length, 3)
  advanceClock(240)
  await until(() => receiver.posts().length === 4)
  t.is(receiver.fingerprints().at(-1), 'fp-1 fp-2')
  t.is(store.pending('am'), 0)
})
