import type { ServerResponse } from 'node:http'
import test, { type ExecutionContext } from 'ava'
import type { Subscription } from 'rxjs'
import { createDockerClient } from '../../../../agent/sources/docker/client/client.ts'
import { dockerEvents } from '../../../../agent/sources/docker/events/event-stream.ts'
import { messageOf } from '../../../../agent/lib/errors.ts'
import type { Observation } from '../../../../agent/model/observation.ts'
import type { Source } from '../../../../agent/model/source.ts'
import { fakeEngine, type FakeEngine, sendJson, version } from '../../../support/fake-engine.ts'
import { until } from '../../../support/until.ts'
import type { Cursor, CursorState } from '../../../../agent/model/event-cursor.ts'

/** An engine whose `/events` responses are written by the test, each connection separately. */
async function eventEngine(t: ExecutionContext) {
  const streams: { since: string; response: ServerResponse }[] = []
  const engine = await fakeEngine(({ path, url }, response) => {
    if (path === '/version') return sendJson(response, version)
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()
    streams.push({ since: url.searchParams.get('since') ?? '', response })
  })
  t.teardown(() => engine.stop())
  return { engine, streams }
}

function memoryCursor(saved: CursorState | null = null): Cursor & { saved: CursorState[] } {
  const states: CursorState[] = []
  return { saved: states, load: () => states.at(-1) ?? saved, save: (state) => void states.push(state) }
}

/** Records what a source emits, one word each, and its end as `error: …`. */
function watch(t: ExecutionContext, source: Source): { seen: string[]; subscription: Subscription } {
  const seen: string[] = []
  const subscription = source.observe().subscribe({
    next: (observation) => seen.push(wordOf(observation)),
    error: (error: unknown) => seen.push(`error: ${messageOf(error)}`),
  })
  t.teardown(() => subscription.unsubscribe())
  return { seen, subscription }
}

function wordOf(observation: Observation): string {
  switch (observation.kind) {
    case 'docker-event':
      return observation.actorId
    case 'source-status':
      return `${observation.up ? 'up' : 'down'} ${observation.mode}${observation.best ? '' : ` (${observation.reason})`}`
    case 'events-lost':
      return `lost ${observation.count} ${observation.reason}`
    default:
      return observation.kind
  }
}

const begin = BigInt(Date.now()) * 1_000_000n

/** A line whose actor is its number, a millisecond after the one before it. */
function line(number: number, argv = ''): string {
  const timeNano = begin + BigInt(number) * 1_000_000n
  const event = {
    Type: 'container',
    Action: `exec_create: ${argv}`,
    Actor: { ID: String(number) },
    timeNano: 0,
  }
  return `${JSON.stringify(event).replace('"timeNano":0', `"timeNano":${timeNano}`)}\n`
}

function lines(first: number, last: number): string {
  return Array.from({ length: last - first + 1 }, (_, index) => line(first + index)).join('')
}

function sourceOf(engine: FakeEngine, cursor: Cursor = memoryCursor(), now = Date.now): Source {
  return dockerEvents({ client: createDockerClient(engine.endpoint), cursor, now })
}

test('events come in order after the source reports that it is up', async (t) => {
  const { engine, streams } = await eventEngine(t)
  const { seen } = watch(t, sourceOf(engine))
  await until(() => streams.length === 1)
  streams[0]?.response.write(line(1) + line(2).slice(0, 50))
  await until(() => seen.length === 2)
  streams[0]?.response.write(line(2).slice(50))
  await until(() => seen.length === 3)
  t.deepEqual(seen, ['up stream', '1', '2'])
})

test('invalid events and overlong lines are counted, and do not stop later events', async (t) => {
  const { engine, streams } = await eventEngine(t)
  const { seen } = watch(t, sourceOf(engine))
  await until(() => streams.length === 1)
  streams[0]?.response.write(
    `${line(1)}{"broken\n[]\n{"Type":7}\n${line(2, 'x'.repeat(100_000))}${'y'.repeat(5_000_000)}\n${line(3)}`,
  )
  const lost = (reason: string): number =>
    seen.filter((word) => word.endsWith(reason)).reduce((sum, word) => sum + Number(word.split(' ')[1]), 0)
  await until(() => seen.includes('3') && lost('too-long') === 1)
  t.deepEqual(
    seen.filter((word) => !word.startsWith('lost')),
    ['up stream', '1', '2', '3'],
  )
  t.is(lost('invalid'), 3)
})

test('a stream cut in the middle of a line resumes without loss or repetition', async (t) => {
  const { engine, streams } = await eventEngine(t)
  const source = sourceOf(engine)
  const first = watch(t, source)
  await until(() => streams.length === 1)
  streams[0]?.response.write(line(1) + line(2) + line(3).slice(0, 20))
  await until(() => first.seen.length === 3)
  streams[0]?.response.destroy()
  await until(() => first.seen.length === 4)
  t.regex(
    first.seen[3] ?? '',
    /^error: the event stream of the Docker Engine at unix:.* was interrupted: aborted/,
  )

  const second = watch(t, source)
  await until(() => streams.length === 2)
  streams[1]?.response.write(lines(1, 4))
  await until(() => second.seen.length === 3)
  t.deepEqual(second.seen, ['up stream', '3', '4'])
  t.is(nanosecondsOf(streams[1]?.since), begin + 2_000_000n - 1_000_000_000n)
})

test('a stream that ends normally is an error too, emitted after its last event', async (t) => {
  const { engine, streams } = await eventEngine(t)
  const { seen } = watch(t, sourceOf(engine))
  await until(() => streams.length === 1)
  streams[0]?.response.end(lines(1, 500))
  await until(() => seen.length === 502)
  t.regex(seen.at(-1) ?? '', /^error: the event stream .* ended$/)
  t.is(seen.at(-2), '500')
})

test('a stopped engine is an error, and the source reconnects when it is back', async (t) => {
  const { engine, streams } = await eventEngine(t)
  const source = sourceOf(engine)
  watch(t, source)
  await until(() => streams.length === 1)
  await engine.stop()
  const away = watch(t, source)
  await until(() => away.seen.length === 1)
  t.regex(away.seen[0] ?? '', /^error: cannot reach the Docker Engine at/)
  await engine.start()
  const back = watch(t, source)
  await until(() => back.seen.length === 1)
  t.deepEqual(back.seen, ['up stream'])
})

test('256 past events, none of them known, are a gap', async (t) => {
  const { engine, streams } = await eventEngine(t)
  const cursor = memoryCursor({ timeNano: String(begin - 60_000_000_000n), recent: [] })
  const { seen } = watch(t, sourceOf(engine, cursor))
  await until(() => streams.length === 1)
  streams[0]?.response.write(lines(-300, -41))
  await until(() => seen.includes('-41') && seen.some((word) => word.startsWith('lost')))
  t.deepEqual(
    seen.filter((word) => word.startsWith('lost')),
    ['lost 1 gap'],
  )
})

test('a new daemon resumes where the previous one stopped', async (t) => {
  const { engine, streams } = await eventEngine(t)
  const cursor = memoryCursor()
  const before = watch(t, sourceOf(engine, cursor))
  await until(() => streams.length === 1)
  streams[0]?.response.write(lines(1, 2))
  await until(() => before.seen.length === 3)
  before.subscription.unsubscribe()
  t.is(cursor.saved.length, 1)

  const after = watch(
    t,
    sourceOf(engine, { ...cursor, load: () => JSON.parse(JSON.stringify(cursor.saved[0])) }),
  )
  await until(() => streams.length === 2)
  streams[1]?.response.write(lines(1, 3))
  await until(() => after.seen.length === 2)
  t.deepEqual(after.seen, ['up stream', '3'])
})

test('the position is saved once a second, however many events come', async (t) => {
  const { engine, streams } = await eventEngine(t)
  const cursor = memoryCursor()
  const { seen } = watch(t, sourceOf(engine, cursor))
  await until(() => streams.length === 1)
  streams[0]?.response.write(lines(1, 500))
  await until(() => cursor.saved.length === 1)
  t.is(seen.length, 501)
  t.is(cursor.saved[0]?.timeNano, String(begin + 500_000_000n))
})

test('a failure to save the position is reported, and events continue', async (t) => {
  const { engine, streams } = await eventEngine(t)
  const broken = {
    load: () => null,
    save: () => {
      throw new Error('disk full')
    },
  }
  const { seen } = watch(t, sourceOf(engine, broken))
  await until(() => streams.length === 1)
  streams[0]?.response.write(line(1))
  await until(() => seen.length === 3)
  streams[0]?.response.write(line(2))
  await until(() => seen.length === 4)
  t.regex(seen[2] ?? '', /^up stream \(cannot save the event stream position.*disk full/)
  t.is(seen[3], '2')
})

test('with a position in the future events are still received', async (t) => {
  const { engine, streams } = await eventEngine(t)
  const cursor = memoryCursor({ timeNano: String(begin + 3_600_000_000_000n), recent: [] })
  const { seen } = watch(t, sourceOf(engine, cursor))
  await until(() => streams.length === 1)
  t.true(nanosecondsOf(streams[0]?.since) <= BigInt(Date.now()) * 1_000_000n)
  streams[0]?.response.write(line(1))
  await until(() => seen.includes('1'))
  t.pass()
})

test('events beyond the queue are dropped and counted exactly, and the stream is never paused', async (t) => {
  const { engine, streams } = await eventEngine(t)
  const seen: Observation[] = []
  const subscription = sourceOf(engine)
    .observe()
    .subscribe({
      next(observation) {
        seen.push(observation)
        if (observation.kind === 'docker-event') block(0.1)
      },
    })
  t.teardown(() => subscription.unsubscribe())
  await until(() => streams.length === 1)
  const sent = 60_000
  const stream = streams[0]?.response
  for (let first = 1; first < sent; first += 1_000) stream?.write(lines(first, first + 999))
  const accounted = (): number =>
    seen.reduce(
      (sum, { kind, ...rest }) => sum + (kind === 'docker-event' ? 1 : 'count' in rest ? rest.count : 0),
      0,
    )
  await until(() => accounted() === sent, 30_000)
  const lost = seen.filter((observation) => observation.kind === 'events-lost')
  t.true(lost.length > 0 && lost.every(({ reason }) => reason === 'queue-full'))
  t.is(stream?.writableLength, 0)
})

test('unsubscribing closes the connection', async (t) => {
  const { engine, streams } = await eventEngine(t)
  const { subscription } = watch(t, sourceOf(engine))
  await until(() => streams.length === 1)
  const closed = new Promise((resolve) => streams[0]?.response.once('close', resolve))
  subscription.unsubscribe()
  await closed
  t.pass()
})

function block(milliseconds: number): void {
  const end = performance.now() + milliseconds
  while (performance.now() < end);
}

function nanosecondsOf(since: string | undefined): bigint {
  return BigInt((since ?? '').replace('.', ''))
}
