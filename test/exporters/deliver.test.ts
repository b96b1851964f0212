import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { Subject } from 'rxjs'
import { openStore } from '../../agent/store/store.ts'
import { alertmanagerReceiver } from '../../exporters/alertmanager/receiver.ts'
import { deliver } from '../../exporters/deliver.ts'
import type { Receiver } from '../../exporters/receiver.ts'
import { startHttpReceiver } from '../support/receiver.ts'
import { until } from '../support/until.ts'
import { sampleFinding } from '../support/samples.ts'
import { describeRules } from '../support/describe.ts'

const am = { name: 'am', queuedBy: 'alert' } as const

type Posted = { labels: { fingerprint: string }; startsAt: string; endsAt: string }[]

/** A fake Alertmanager with scripted responses, which a real one does not support. */
async function startReceiver(t: ExecutionContext) {
  const receiver = await startHttpReceiver(t)
  const posts = () => receiver.requests.map(({ body }) => JSON.parse(body) as Posted)
  // The clock of the test stands still, so that the real date of a response would be years away.
  receiver.replyWith((response) => answer(response))
  return {
    url: `${receiver.url}/prefix/`,
    posts,
    replyWith: (reply: (response: ServerResponse, alerts: Posted) => void) =>
      receiver.replyWith((response, { body }) => {
        response.sendDate = false
        reply(response, JSON.parse(body) as Posted)
      }),
    fingerprints: () => posts().map((alerts) => alerts.map(({ labels }) => labels.fingerprint).join(' ')),
  }
}

/** Answers without a Date header, or with that of a clock with this time. */
function answer(response: ServerResponse, time?: number): void {
  response.sendDate = false
  if (time !== undefined) response.setHeader('Date', new Date(time).toUTCString())
  response.end('{}')
}

/** The real store in memory, the real delivery, and a clock controlled by the test. */
function startDelivery(t: ExecutionContext, url: string, timeoutMs = 5_000, rest: Partial<Receiver> = {}) {
  let clock = Date.parse(sampleFinding().last_seen)
  const outcomes: Record<string, number> = {}
  const health: boolean[] = []
  const skews: number[] = []
  const agreements: boolean[] = []
  const wake$ = new Subject<void>()
  const store = openStore({
    directory: '/proc/nowhere',
    onModeChange: () => undefined,
    onMovedAside: () => undefined,
  })
  const config = { url, min_severity: 'info', timeout: timeoutMs } as const
  const subscription = deliver({
    receiver: { ...alertmanagerReceiver(config), name: 'am', ...rest },
    describe: describeRules,
    store,
    wake$,
    now: () => clock,
    onOutcome: (outcome, count) => (outcomes[outcome] = (outcomes[outcome] ?? 0) + count),
    onHealth: (reachable) => health.push(reachable),
    onClockSkew: (skewMs) => skews.push(skewMs),
    onClockAgreement: (agrees) => agreements.push(agrees),
  }).subscribe()
  t.teardown(() => subscription.unsubscribe())
  return {
    store,
    outcomes,
    health,
    skews,
    agreements,
    save: (id: string, finding = {}) => {
      store.save(sampleFinding({ id, fingerprint: `fp-${id}`, ...finding }), null, [am], clock)
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
  receiver.replyWith((response) => answer(response))
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

const start = Date.parse(sampleFinding().last_seen)
const sixMinutes = 360_000

for (const [title, skewMs] of [
  ['ahead', sixMinutes],
  ['behind', -sixMinutes],
] as const) {
  test(`alerts to a receiver whose clock is ${title} are sent again at once with corrected times`, async (t) => {
    const receiver = await startReceiver(t)
    receiver.replyWith((response) => answer(response, start + skewMs))
    const { save, advanceClock, agreements, skews, outcomes } = startDelivery(t, receiver.url)
    save('1', { kind: 'condition' })
    await until(() => receiver.posts().length === 2)
    const startsAt = () => receiver.posts().map(([alert]) => Date.parse(alert?.startsAt ?? ''))
    const lead = Number(startsAt()[1]) - start
    t.true(Math.abs(lead - skewMs) < 2_000, `${lead}`)
    t.is(startsAt()[0], start)
    await until(() => outcomes['delivered'] === 1)
    t.deepEqual(agreements, [false])
    t.true(skews.every((one) => Math.abs(one - skewMs) < 2_000))

    receiver.replyWith((response) => answer(response, start + 60_000))
    advanceClock(1)
    await until(() => receiver.posts().length === 4)
    t.is(startsAt()[3], start)
    await until(() => agreements.length === 2)
    t.deepEqual(agreements, [false, true])
    await sleep(100)
    t.is(receiver.posts().length, 4)
  })
}

test('receivers behind one address whose clocks differ do not cause endless requests', async (t) => {
  const receiver = await startReceiver(t)
  let answers = 0
  receiver.replyWith((response) => answer(response, start + (answers++ % 2 === 0 ? sixMinutes : 0)))
  const { save } = startDelivery(t, receiver.url)
  save('1', { kind: 'condition' })
  await until(() => receiver.posts().length === 2)
  await sleep(200)
  t.is(receiver.posts().length, 2)
})

test('a webhook that accepted a finding does not get it again because of its clock', async (t) => {
  const receiver = await startReceiver(t)
  receiver.replyWith((response) => answer(response, start + sixMinutes))
  for (const corrects of ['nothing', 'signature'] as const) {
    const { save, outcomes, skews } = startDelivery(t, receiver.url, 5_000, { corrects })
    const before = receiver.posts().length
    save('1')
    await until(() => outcomes['delivered'] === 1)
    await sleep(100)
    t.is(receiver.posts().length, before + 1)
    t.is(skews.length, 1)
  }
})

for (const status of [400, 401]) {
  test(`a signature that was refused with ${status} as too old is sent again with the receiver’s time`, async (t) => {
    const receiver = await startReceiver(t)
    receiver.replyWith((response, [alert]) => {
      response.statusCode = Date.parse(alert?.startsAt ?? '') === start ? status : 200
      answer(response, start + sixMinutes)
    })
    const { save, outcomes } = startDelivery(t, receiver.url, 5_000, { corrects: 'signature', batchSize: 1 })
    save('1')
    await until(() => outcomes['delivered'] === 1)
    t.deepEqual(outcomes, { delivered: 1 })
    t.is(receiver.posts().length, 2)
  })
}
