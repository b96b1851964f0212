import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { errorCode, messageOf, UserError } from '../../agent/errors.ts'
import type { Exposition } from '../prometheus/index.ts'
import { contentSecurityPolicy } from './status-page.ts'

export type WebOptions = {
  /** `HOST:PORT`, `:PORT` or `[IPv6]:PORT`. */
  addresses: readonly string[]
  expose: (accept: string) => Promise<Exposition>
  isReady: () => boolean
  /** The page at `/`; with what was seen in detail only for readers on this host. */
  statusPage: (withEvidence: boolean) => Promise<string>
}

/** A running web endpoint; `urls` are where it can be reached. */
export type Web = { urls: readonly string[]; close: () => void }

/** Serves metrics, health and the status page; fails with a sentence when an address cannot be had. */
export async function serveWeb(options: WebOptions): Promise<Web> {
  const servers: Server[] = []
  const close = () => {
    for (const server of servers) {
      server.close()
      server.closeAllConnections()
    }
  }
  try {
    for (const address of options.addresses) servers.push(await listen(address, options))
  } catch (error) {
    close()
    throw error
  }
  return { urls: servers.map(urlOf), close }
}

function listen(address: string, options: WebOptions): Promise<Server> {
  const { host, port } = splitAddress(address)
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    answer(request, response, options).catch((error: unknown) => {
      if (!response.headersSent) send(response, 500, 'text/plain; charset=utf-8', `${messageOf(error)}\n`)
      else response.destroy()
    })
  })
  server.maxConnections = 256
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(listenError(address, error)))
    server.listen({ host, port }, () => resolve(server))
  })
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: WebOptions,
): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD')
    return send(response, 405, 'text/plain; charset=utf-8', 'only GET and HEAD\n')
  }
  const path = (request.url ?? '/').split('?', 1)[0]
  if (path === '/metrics') {
    const { contentType, body } = await options.expose(request.headers.accept ?? '')
    return send(response, 200, contentType, body)
  }
  if (path === '/-/healthy')
    return send(response, 200, 'text/plain; charset=utf-8', 'tidewatch is healthy.\n')
  if (path === '/-/ready') {
    return options.isReady()
      ? send(response, 200, 'text/plain; charset=utf-8', 'tidewatch is ready.\n')
      : send(response, 503, 'text/plain; charset=utf-8', 'tidewatch waits for its sources.\n')
  }
  if (path === '/') {
    response.setHeader('content-security-policy', contentSecurityPolicy)
    response.setHeader('x-frame-options', 'DENY')
    return send(response, 200, 'text/html; charset=utf-8', await options.statusPage(isLocal(request)))
  }
  send(response, 404, 'text/plain; charset=utf-8', 'not found; there are / /metrics /-/healthy /-/ready\n')
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  })
  response.end(response.req.method === 'HEAD' ? undefined : body)
}

/** What was seen may quote command lines; a reader elsewhere is told what the rules mean instead. */
function isLocal({ socket }: IncomingMessage): boolean {
  const isLoopback = (address = '') => /^(?:::ffff:)?127\.|^::1$/.test(address)
  return isLoopback(socket.localAddress) && isLoopback(socket.remoteAddress)
}

function splitAddress(address: string): { host: string | undefined; port: number } {
  const colon = address.lastIndexOf(':')
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '')
  return { host: host === '' ? undefined : host, port: Number(address.slice(colon + 1)) }
}

function urlOf(server: Server): string {
  const { address, port, family } = server.address() as AddressInfo
  const host =
    address === '::' || address === '0.0.0.0' ? 'localhost' : family === 'IPv6' ? `[${address}]` : address
  return `http://${host}:${port}`
}

function listenError(address: string, error: Error): UserError {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: 'something else listens there; stop it, or choose another --web.listen-address',
    EACCES: 'this user may not listen there; choose a port above 1023',
    EADDRNOTAVAIL: 'this host has no such address',
  }
  const reason = reasons[errorCode(error)] ?? messageOf(error)
  return new UserError(`cannot listen on ${address}: ${reason}`)
}
