import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Endpoint } from '../../agent/sources/docker/client/endpoint.ts'

/** Answers one request; `path` is without the API version and the query. */
export type Answers = (request: FakeRequest, response: ServerResponse) => void

export type FakeRequest = { method: string; url: URL; path: string }

export type FakeEngine = {
  endpoint: Endpoint
  /** The requests, such as `GET /v1.41/info`. */
  asked: string[]
  /** Closes all connections; a new engine may then listen on the same socket. */
  stop(): Promise<void>
  start(): Promise<void>
}

/** An engine for situations that cannot be provoked with a real one. */
export async function fakeEngine(answers: Answers): Promise<FakeEngine> {
  const path = join(tmpdir(), `tidewatch-test-engine-${randomBytes(6).toString('hex')}.sock`)
  const asked: string[] = []
  let server: Server | undefined

  function onRequest(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://engine')
    asked.push(`${request.method} ${request.url}`)
    answers({ method: request.method ?? '', url, path: url.pathname.replace(/^\/v1\.\d+/, '') }, response)
  }

  async function start(): Promise<void> {
    const started = createServer(onRequest)
    server = started
    await new Promise<void>((resolve) => started.listen(path, resolve))
  }

  async function stop(): Promise<void> {
    server?.closeAllConnections()
    await new Promise((resolve) => server?.close(resolve))
  }

  await start()
  return { endpoint: { kind: 'unix', path }, asked, stop, start }
}

/** Responds with JSON. */
export function sendJson(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(value))
}

/** The response to `GET /version` of an engine with this API version. */
export const version = { Version: '20.10.24', ApiVersion: '1.41', MinAPIVersion: '1.12' }

/** Responds to `/version` like a real engine, and ignores other requests. */
export function withVersion(answers: Answers): Answers {
  return (request, response) =>
    request.path === '/version' ? sendJson(response, version) : answers(request, response)
}
