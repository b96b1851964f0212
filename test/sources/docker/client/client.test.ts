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

test('the API version is asked for once and pinned', async (t) => {
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
    'an engine newer than what is known is asked as the newest that is',
    { ...version, ApiVersion: '1.99' },
    '1.52',
  ],
  ['an engine of Docker 1.12 is good enough', { ...version, ApiVersion: '1.24' }, '1.24'],
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
    /speaks API 1\.23; tidewatch needs 1\.24/,
  ],
  [
    'an engine that wants a newer client is refused',
    { ...version, ApiVersion: '1.99', MinAPIVersion: '1.70' },
    /wants API 1\.70/,
  ],
  ['something else that speaks JSON is refused', { hello: 'world' }, /names no ApiVersion/],
  ['a list instead of a version is refused', [], /not answered as a Docker Engine/],
] as const) {
  test(claim, async (t) => {
    const { client } = await clientOf(t, (_, response) => sendJson(response, answer))
    t.regex(await failureOf(client.info()), expected)
  })
}

test('after a failure the API version is asked for anew', async (t) => {
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

test('what is gone is null, not an error', async (t) => {
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
  'truncated JSON is an error': [(_, response) => response.end('{"Id":"x"'), /the answer is not whole JSON/],
  'an empty answer is an error': [(_, response) => response.end(), /the answer is not whole JSON/],
  'an answer of the wrong type is an error': [(_, response) => response.end('[1]'), /no JSON object/],
  'an endless answer is cut off': [(_, response) => endless(response), /longer than 10000 bytes/],
  'an endless answer of status 500 is cut off': [
    (_, response) => endless(response.writeHead(500)),
    /longer than 10000 bytes/,
  ],
  'an answer cut off in its middle is an error': [
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
  'an error of the engine is told in its words': [
    (_, response) => sendJson(response, { message: 'out of luck' }, 500),
    /GET \/info of the Docker Engine at unix:.* failed: the answer is status 500: out of luck/,
  ],
}
for (const [claim, [answers, expected]] of Object.entries(broken)) {
  test(claim, async (t) => {
    const { client } = await clientOf(t, withVersion(answers))
    t.regex(await failureOf(client.info()), expected)
  })
}

for (const [claim, answers] of Object.entries<Answers>({
  'an answer whose head does not come is given up': () => {},
  'an answer whose body does not end is given up': (_, response) => void response.write('{'),
})) {
  test(claim, async (t) => {
    const { client } = await clientOf(t, withVersion(answers), impatient)
    t.regex(await failureOf(client.info()), /no answer within 1 s/)
  })
}

test('a connection that fails once is tried again, and only once', async (t) => {
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

// Serial, for the processor time is the whole process's.
test.serial('many requests at a time cost little CPU each', async (t) => {
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

test('a list that is longer than an answer may be is asked for in pages', async (t) => {
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

test('an id cannot lead to another path', async (t) => {
  const { client, engine } = await clientOf(
    t,
    withVersion((_, response) => sendJson(response, {})),
  )
  for (const id of ['', '..', '../info', 'a/b', 'a?b', 'a b'])
    await t.throwsAsync(client.inspectContainer(id), { message: /not an id/ })
  t.deepEqual(engine.asked, [])
})

test('the event stream begins where it is told to, and has no time limit', async (t) => {
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

test('the event stream ends with its signal', async (t) => {
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

test('an event stream whose head does not come is given up', async (t) => {
  const { client } = await clientOf(
    t,
    withVersion(() => {}),
    impatient,
  )
  t.regex(
    await failureOf(client.streamEvents({ since: '1', signal: new AbortController().signal })),
    /no answer within/,
  )
})

test('without an engine the message says what to look at', async (t) => {
  const client = createDockerClient({ kind: 'unix', path: '/nonexistent.sock' }, limits)
  t.regex(
    await failureOf(client.info()),
    /^no Docker Engine at unix:\/\/\/nonexistent\.sock: is docker\.service running\? or set --docker\.host/,
  )
})

test('a socket that nobody listens at is no engine', async (t) => {
  const { client, engine } = await clientOf(
    t,
    withVersion((_, response) => sendJson(response, {})),
  )
  await client.info()
  await engine.stop()
  t.regex(await failureOf(client.info()), /^no Docker Engine at/)
})

// Serial, for the user is the whole process's.
test.serial('without the right to the socket the message says how to get it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'tidewatch-test-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await chmod(folder, 0o755)
  const path = join(folder, 'docker.sock')
  const server = createServer().listen(path)
  await new Promise((resolve) => server.once('listening', resolve))
  t.teardown(() => server.close())
  await chmod(path, 0)
  const client = createDockerClient({ kind: 'unix', path }, limits)
  const message = await asNobody(() => failureOf(client.info()))
  t.regex(message, /add the user to the group docker, or run as root/)
})

test('an engine is reached by tcp, also by IPv6, whatever DOCKER_HOST says', async (t) => {
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

test('TLS files that cannot be read are a configuration error', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'tidewatch-test-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'ca.pem'), '')
  const tls = {
    caFile: join(folder, 'ca.pem'),
    certFile: join(folder, 'missing.pem'),
    keyFile: join(folder, 'key.pem'),
  }
  const error = t.throws(() => createDockerClient({ kind: 'tcp', host: 'h', port: 1, tls }))
  t.regex(messageOf(error), /TLS files for https:\/\/h:1 cannot be read: ENOENT.*missing\.pem/)
})

function endless(response: Parameters<Answers>[1]): void {
  const write = (): void => {
    if (!response.destroyed) response.write('x'.repeat(4_000), write)
  }
  write()
}

/** Root has the right to every socket, so it asks as somebody else. */
async function asNobody<T>(work: () => Promise<T>): Promise<T> {
  const isRoot = process.getuid?.() === 0
  if (isRoot) process.seteuid?.(65_534)
  try {
    return await work()
  } finally {
    if (isRoot) process.seteuid?.(0)
  }
}
