import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { ExecutionContext } from 'ava'

export type Request = { path: string; headers: IncomingHttpHeaders; body: string }

/** A fake HTTP receiver with scripted responses, which a real one does not support; it is closed after the test. */
export async function startHttpReceiver(t: Pick<ExecutionContext, 'teardown'>, tls?: ServerOptions) {
  const requests: Request[] = []
  let reply: (response: ServerResponse, request: Request) => void = (response) => response.end('{}')
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const seen = {
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
      }
      requests.push(seen)
      reply(response, seen)
    })
  }
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    port,
    requests,
    replyWith: (next: typeof reply) => (reply = next),
  }
}
