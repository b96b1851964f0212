import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { isOnlyIPv6, type ListenAddress, parseListenAddress } from '../../agent/config/listen-addresses.ts'
import { errorCode, messageOf, UserError } from '../../agent/lib/errors.ts'
import type { Exposition } from '../prometheus/index.ts'
import { type Authenticate, authentication } from './authentication.ts'
import { isClientAccepted } from './client-certificate.ts'
import { scrapes, ScrapeTimeout } from './scrape.ts'
import type { RunbookPages } from './runbook-pages.ts'
import { contentSecurityPolicy } from './status-page.ts'
import type { WatchedWebConfig } from './watched-web-config.ts'
import type { TlsConfig } from './web-config.ts'

export type WebOptions = {
  /** `HOST:PORT`, `:PORT` or `[IPv6]:PORT`. */
  addresses: readonly string[]
  config: WatchedWebConfig
  expose: (accept: string) => Promise<Exposition>
  isReady: () => boolean
  runbooks: RunbookPages
  /** The page at `/`. Only local and authenticated clients get the evidence. */
  statusPage: (withEvidence: boolean) => Promise<string>
}

/** A running web endpoint and its URLs. */
export type Web = { urls: readonly string[]; close: () => void }

/** Serves metrics, health and the status page. Rejects with a readable error if an address is unavailable. */
export async function serveWeb(options: WebOptions): Promise<Web> {
  using opening = new DisposableStack()
  const servers: Server[] = []
  const handle = handler(options)
  const addresses = options.addresses.map(parseListenAddress)
  for (const address of addresses) {
    const ipv6Only = isOnlyIPv6(address, addresses)
    servers.push(opening.adopt(await listen(address, ipv6Only, options.config, handle), closeServer))
  }
  const scheme = options.config.current().tls === null ? 'http' : 'https'
  const urls = [...new Set(servers.map((server) => urlOf(scheme, server)))]
  const resources = opening.move()
  return { urls, close: () => resources.dispose() }
}

function closeServer(server: Server): void {
  server.close()
  server.closeAllConnections()
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void

const limits = { requestTimeout: 10_000, headersTimeout: 5_000 }

function listen(
  { text, host, port }: ListenAddress,
  ipv6Only: boolean,
  config: WatchedWebConfig,
  handle: Handler,
): Promise<Server> {
  const { tls } = config.current()
  const server = tls === null ? createServer(limits, handle) : tlsServer(tls, config, handle)
  server.prependListener('connection', () => config.refresh())
  server.maxConnections = 256
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(listenError(text, error)))
    // Without a host, Node listens on IPv4 alone where the host has no IPv6.
    const anyHost = ipv6Only ? '::' : undefined
    server.listen({ host: host === '' ? anyHost : host, port, ipv6Only }, () => resolve(server))
  })
}

/** Every handshake uses the current certificates. */
function tlsServer(tls: TlsConfig, config: WatchedWebConfig, handle: Handler): Server {
  let active = tls
  const requestCert = tls.clientAuth !== 'NoClientCert'
  const server = createTlsServer(
    { ...limits, ...tls.context, requestCert, rejectUnauthorized: false, handshakeTimeout: 5_000 },
    handle,
  )
  server.prependListener('connection', () => {
    const now = config.current().tls
    if (now === null || now === active) return
    active = now
    server.setSecureContext(now.context)
  })
  server.prependListener('secureConnection', (socket) => {
    if (!isClientAccepted(socket, active)) socket.destroy()
  })
  return server
}

function handler(options: WebOptions): Handler {
  const authenticate = authentication()
  const scrape = scrapes(options.expose)

  return (request, response) => {
    answer(request, response, { ...options, authenticate, scrape }).catch((error: unknown) => {
      if (response.headersSent) response.destroy()
      else sendText(response, error instanceof ScrapeTimeout ? 503 : 500, `${messageOf(error)}\n`)
    })
  }
}

type AnswerOptions = WebOptions & { authenticate: Authenticate; scrape: ReturnType<typeof scrapes> }

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { config, authenticate, scrape, isReady, runbooks, statusPage }: AnswerOptions,
): Promise<void> {
  config.refresh()
  for (const [name, value] of Object.entries(config.current().headers)) response.setHeader(name, value)
  const access = await authenticate(request, config.current())
  if (access === 'busy') {
    response.setHeader('retry-after', '1')
    return sendText(response, 503, 'too many logins at once\n')
  }
  if (access === 'denied') {
    response.setHeader('www-authenticate', 'Basic realm="tidewatch", charset="UTF-8"')
    return sendText(response, 401, 'unauthorized\n')
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD')
    return sendText(response, 405, 'only GET and HEAD\n')
  }
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
  if (path === '/metrics') {
    const { contentType, encoding, body } = await scrape(request.headers)
    response.setHeader('vary', 'accept, accept-encoding')
    if (encoding !== null) response.setHeader('content-encoding', encoding)
    return send(response, 200, contentType, body)
  }
  if (path === '/-/healthy') return sendText(response, 200, 'tidewatch is healthy.\n')
  if (path === '/-/ready') {
    return isReady()
      ? sendText(response, 200, 'tidewatch is ready.\n')
      : sendText(response, 503, 'tidewatch is waiting for its sources.\n')
  }
  if (path === '/') {
    const withEvidence = access === 'known' || isLocal(request)
    return sendPage(response, await statusPage(withEvidence))
  }
  if (path === '/runbooks' || path === '/runbooks/') return sendPage(response, await runbooks.index())
  const [, alertName] = /^\/runbooks\/(\w+)(?:\.md)?$/.exec(path) ?? []
  const runbook = alertName === undefined ? null : await runbooks.page(alertName)
  if (runbook !== null) return sendPage(response, runbook)
  sendText(response, 404, 'not found; available paths: / /metrics /runbooks /-/healthy /-/ready\n')
}

function sendPage(response: ServerResponse, page: string): void {
  response.setHeader('content-security-policy', contentSecurityPolicy)
  response.setHeader('x-frame-options', 'DENY')
  send(response, 200, 'text/html; charset=utf-8', Buffer.from(page))
}

function sendText(response: ServerResponse, status: number, text: string): void {
  send(response, status, 'text/plain; charset=utf-8', Buffer.from(text))
}

function send(response: ServerResponse, status: number, contentType: string, body: Buffer): void {
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': body.length,
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  })
  response.end(response.req.method === 'HEAD' ? undefined : body)
}

/** Evidence may contain command lines, so remote clients only see what the rules mean. */
function isLocal({ socket }: IncomingMessage): boolean {
  const isLoopback = (address = '') => /^(?:::ffff:)?127\.|^::1$/.test(address)
  return isLoopback(socket.localAddress) && isLoopback(socket.remoteAddress)
}

function urlOf(scheme: string, server: Server): string {
  const { address, port, family } = server.address() as AddressInfo
  const host =
    address === '::' || address === '0.0.0.0' ? 'localhost' : family === 'IPv6' ? `[${address}]` : address
  return `${scheme}://${host}:${port}`
}

/** What the user can do if an address cannot be listened on. */
export function listenError(address: string, error: Error): UserError {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: 'address already in use; stop the other process or choose another --web.listen-address',
    EACCES: 'permission denied; choose a port above 1023',
    EADDRNOTAVAIL: 'this host has no such address',
    EAFNOSUPPORT: 'IPv6 is disabled on this host; choose an IPv4 address, such as 0.0.0.0 for all of them',
  }
  const reason = reasons[errorCode(error)] ?? messageOf(error)
  return new UserError(`cannot listen on ${address}: ${reason}`)
}
