import { writeFile, chmod, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import test, { type ExecutionContext } from 'ava'
import { createDockerClient, type DockerClient } from '../../../../agent/sources/docker/client/client.ts'
import { messageOf } from '../../../../agent/lib/errors.ts'
import {
  type Answers,
  type FakeEngine,
  fakeEngine,
  sendJson,
  version,
  withVersion,
} from '../../../support/fake-engine.ts'

const limits = { timeoutMs: 10_000, maxBodyBytes: 10_000 }
const impatient = { ...limits, timeoutMs: 1_000 }

async function clientOf(
  t: ExecutionContext,
  answers: Answers,
  requestLimits = limits,
): Promise<{ client: DockerClient; engine: FakeEngine }> {
  const engine = await fakeEngine(answers)
  t.teardown(() => engine.stop())
  return { engine, client: createDockerClient(engine.endpoint, requestLimits) }
}

type Filters = { before?: string[] }

async function failureOf(call: Promise<unknown>): Promise<string> {
  return await call.then(
    () => 'no failure',
    (error: unknown) => messageOf(error),
  )
}

test('the API version is requested once and pinned', async (t) => {
  const { client, engine } = await clientOf(
    t,
    withVersion((_, response) => sendJson(response, { Id: 'x' })),
  )
  await client.info()
  await client.inspectContainer('x')
  t.deepEqual(engine.asked, ['GET /version', 'GET /v1.41/info', 'GET /v1.41/containers/x/json'])
})

for (const [claim, answer, expected] of [
  [
    'with a newer engine the newest supported API version is used',
    { ...version, ApiVersion: '1.99' },
    '1.52',
  ],
  ['Docker 1.12 is supported', { ...version, ApiVersion: '1.24' }, '1.24'],
] as const) {
  test(claim, async (t) => {
    const { client } = await clientOf(t, (_, response) => sendJson(response, answer))
    t.is((await client.version()).apiVersion, expected)
  })
}

for (const [claim, answer, expected] of [
  [
    'an older engine is refused',
    { ...version, ApiVersion: '1.23' },
    /supports API 1\.23; tidewatch requires 1\.24/,
  ],
  [
    'an engine that requires a newer client is refused',
    { ...version, ApiVersion: '1.99', MinAPIVersion: '1.70' },
    /requires API 1\.70/,
  ],
  ['another JSON service is refused', { hello: 'world' }, /has no ApiVersion/],
  ['a list instead of a version is refused', [], /not from a Docker Engine/],
] as const) {
  test(claim, async (t) => {
    const { client } = await clientOf(t, (_, response) => sendJson(response, answer))
    t.regex(await failureOf(client.info()), expected)
  })
}

test('after a failure the API version is requested again', async (t) => {
  let apiVersion = '1.41'
  const { client, engine } = await clientOf(t, ({ path }, response) => {
    if (path === '/version') sendJson(response, { ...version, ApiVersion: apiVersion })
    else sendJson(response, { message: 'client version 1.41 is too new' }, apiVersion === '1.41' ? 200 : 400)
  })
  await client.info()
  apiVersion = '1.40'
  t.regex(await failureOf(client.info()), /status 400: client version 1\.41 is too new/)
  await failureOf(client.info())
  t.deepEqual(engine.asked.slice(2), ['GET /v1.41/info', 'GET /version', 'GET /v1.40/info'])
})

test('a missing container or exec is null, not an error', async (t) => {
  const { client } = await clientOf(
    t,
    withVersion((_, response) => sendJson(response, { message: 'No such' }, 404)),
  )
  t.deepEqual(
    await Promise.all([client.inspectContainer('x'), client.inspectExec('x'), client.statsOnce('x')]),
    [null, null, null],
  )
})

const broken: Record<string, [Answers, RegExp]> = {
  'truncated JSON is an error': [
    (_, response) => response.end('{"Id":"x"'),
    /the response is not complete JSON/,
  ],
  'an empty response is an error': [(_, response) => response.end(), /the response is not complete JSON/],
  'a response of the wrong type is an error': [(_, response) => response.end('[1]'), /not a JSON object/],
  'an endless response is aborted': [(_, response) => endless(response), /exceeds 10000 bytes/],
  'an endless response with status 500 is aborted': [
    (_, response) => endless(response.writeHead(500)),
    /exceeds 10000 bytes/,
  ],
  'a truncated response is an error': [
    (_, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('{', () => response.destroy())
    },
    /failed: aborted/,
  ],
  'a redirect is not followed': [
    (_, response) => response.writeHead(301, { location: 'http://127.0.0.1:9/' }).end(),
    /Max redirects exceeded/,
  ],
  'an engine error is reported with its message': [
    (_, response) => sendJson(response, { message: 'out of luck' }, 500),
    /GET \/info of the Docker Engine at unix:.* failed: status 500: out of luck/,
  ],
}
for (const [claim, [answers, expected]] of Object.entries(broken)) {
  test(claim, async (t) => {
    const { client } = await clientOf(t, withVersion(answers))
    t.regex(await failureOf(client.info()), expected)
  })
}

for (const [claim, answers] of Object.entries<Answers>({
  'a response without headers times out': () => {},
  'a response whose body does not end times out': (_, response) => void response.write('{'),
})) {
  test(claim, async (t) => {
    const { client } = await clientOf(t, withVersion(answers), impatient)
    t.regex(await failureOf(client.info()), /no response within 1 s/)
  })
}

test('a connection that fails is retried once', async (t) => {
  let failures = 1
  const { client, engine } = await clientOf(
    t,
    withVersion((_, response) => (failures-- > 0 ? response.destroy() : sendJson(response, { ok: true }))),
  )
  t.deepEqual(await client.info(), { ok: true })
  failures = 5
  t.regex(await failureOf(client.info()), /socket hang up/)
  t.is(engine.asked.filter((asked) => asked.endsWith('/info')).length, 4)
})

// Serial, because CPU time is measured for the whole process.
test.serial('concurrent requests cost little CPU each', async (t) => {
  const { client } = await clientOf(
    t,
    withVersion((_, response) => sendJson(response, {})),
  )
  await client.version()
  const before = process.cpuUsage()
  for (let round = 0; round < 10; round += 1)
    await Promise.all(Array.from({ length: 32 }, () => client.info()))
  const { user, system } = process.cpuUsage(before)
  t.true((user + system) / 1_000 / 320 < 6, `${(user + system) / 1_000 / 320} ms a request`)
})

test('a list over the response limit is requested in pages', async (t) => {
  const { client, engine } = await clientOf(
    t,
    withVersion(({ url }, response) => {
      const limit = Number(url.searchParams.get('limit') ?? 20)
      const [before = ''] = (JSON.parse(url.searchParams.get('filters') ?? '{}') as Filters).before ?? []
      const from = before === '' ? 0 : Number(before) + 1
      const ids = Array.from({ length: 20 }, (_, index) => index).slice(from, from + limit)
      sendJson(
        response,
        ids.map((id) => ({ Id: String(id), Labels: { large: 'x'.repeat(1_000) } })),
      )
    }),
  )
  const listed = await client.listContainers()
  t.deepEqual(
    listed.map(({ id }) => id),
    Array.from({ length: 20 }, (_, index) => String(index)),
  )
  t.is(
    engine.asked.at(-1),
    'GET /v1.41/containers/json?all=true&limit=4&filters=%7B%22before%22%3A%5B%2219%22%5D%7D',
  )
})

test('an id cannot change the path', async (t) => {
  const { client, engine } = await clientOf(
    t,
    withVersion((_, response) => sendJson(response, {})),
  )
  for (const id of ['', '..', '../info', 'a/b', 'a?b', 'a b'])
    await t.throwsAsync(client.inspectContainer(id), { message: /invalid id/ })
  t.deepEqual(engine.asked, [])
})

test('the event stream starts at `since` and has no time limit', async (t) => {
  const { client, engine } = await clientOf(
    t,
    withVersion((_, response) => {
      response.writeHead(200).flushHeaders()
      setTimeout(() => response.end('late'), 1_500)
    }),
    impatient,
  )
  const stream = await client.streamEvents({ since: '1.5', signal: new AbortController().signal })
  t.is(await text(stream), 'late')
  t.is(engine.asked.at(-1), 'GET /v1.41/events?since=1.5')
})

test('the event stream ends on its signal', async (t) => {
  const { client } = await clientOf(
    t,
    withVersion((_, response) => response.writeHead(200).flushHeaders()),
  )
  const abort = new AbortController()
  const stream = await client.streamEvents({ since: '1', signal: abort.signal })
  const closed = new Promise((resolve) => stream.once('close', resolve))
  abort.abort()
  await closed
  t.true(stream.destroyed)
})

test('an event stream without response headers times out', async (t) => {
  const { client } = await clientOf(
    t,
    withVersion(() => {}),
    impatient,
  )
  t.regex(
    await failureOf(client.streamEvents({ since: '1', signal: new AbortController().signal })),
    /no response within/,
  )
})

test('without an engine the message says what to check', async (t) => {
  const client = createDockerClient({ kind: 'unix', path: '/nonexistent.sock' }, limits)
  t.regex(
    await failureOf(client.info()),
    /^cannot reach the Docker Engine at unix:\/\/\/nonexistent\.sock: is docker\.service running\? Otherwise set --docker\.host/,
  )
})

test('a socket without a listener is not an engine', async (t) => {
  const { client, engine } = await clientOf(
    t,
    withVersion((_, response) => sendJson(response, {})),
  )
  await client.info()
  await engine.stop()
  t.regex(await failureOf(client.info()), /^cannot reach the Docker Engine at/)
})

// Serial, because the user is changed for the whole process.
test.serial('without permission for the socket the message says how to get it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'tidewatch-test-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await chmod(folder, 0o755)
  const path = join(folder, 'docker.sock')
  const server = createServer().listen(path)
  await new Promise((resolve) => server.once('listening', resolve))
  t.teardown(() => server.close())
  await chmod(path, 0)
  const client = createDockerClient({ kind: 'unix', path }, limits)
  const message = await asUnprivileged(() => failureOf(client.info()))
  t.regex(message, /add the user to the group docker, or run as root/)
})

test('an engine is reached over TCP, also over IPv6, regardless of DOCKER_HOST', async (t) => {
  const server = createServer((request, response) =>
    sendJson(response, request.url === '/version' ? version : { path: request.url }),
  )
  await new Promise<void>((resolve) => server.listen(0, '::', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const before = process.env['DOCKER_HOST']
  process.env['DOCKER_HOST'] = ':::no host at all:::'
  t.teardown(() => {
    if (before === undefined) delete process.env['DOCKER_HOST']
    else process.env['DOCKER_HOST'] = before
  })
  for (const host of ['127.0.0.1', '::1', 'localhost']) {
    const client = createDockerClient({ kind: 'tcp', host, port, tls: null }, limits)
    t.deepEqual(await client.info(), { path: '/v1.41/info' })
  }
  t.is(process.env['DOCKER_HOST'], ':::no host at all:::')
})

test('unreadable TLS files are a configuration error', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'tidewatch-test-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'ca.pem'), '')
  const tls = {
    caFile: join(folder, 'ca.pem'),
    certFile: join(folder, 'missing.pem'),
    keyFile: join(folder, 'key.pem'),
  }
  const error = t.throws(() => createDockerClient({ kind: 'tcp', host: 'h', port: 1, tls }))
  t.regex(messageOf(error), /cannot read the TLS files for https:\/\/h:1: ENOENT.*missing\.pem/)
})

function endless(response: Parameters<Answers>[1]): void {
  const write = (): void => {
    if (!response.destroyed) response.write('x'.repeat(4_000), write)
  }
  write()
}

/** Root may use every socket, so the call runs as an unprivileged user. */
async function asUnprivileged<T>(work: () => Promise<T>): Promise<T> {
  const isRoot = process.getuid?.() === 0
  if (isRoot) process.seteuid?.(65_534)
  try {
    return await work()
  } finally {
    if (isRoot) process.seteuid?.(0)
  }
}
