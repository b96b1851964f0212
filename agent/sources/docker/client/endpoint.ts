import { join } from 'node:path'
import { exitConfiguration, UserError } from '../../../lib/errors.ts'

export type Endpoint =
  | { kind: 'unix'; path: string }
  | { kind: 'tcp'; host: string; port: number; tls: TlsFiles | null }

export type TlsFiles = { caFile: string; certFile: string; keyFile: string }

export type EndpointOptions = {
  host?: string | undefined
  tls?: TlsFiles | undefined
  env: Readonly<Record<string, string | undefined>>
}

/**
 * Decides once where the engine is, because the client library guesses: it accepts a bare path with an empty host.
 */
export function endpointOf({ host, tls, env }: EndpointOptions): Endpoint {
  const text = host ?? (env['DOCKER_HOST'] || defaultHost)
  const scheme = /^[a-z]+(?=:\/\/)/.exec(text)?.[0] ?? ''
  switch (scheme) {
    case 'unix':
      return unixEndpoint(text, tls)
    case 'tcp':
    case 'http':
    case 'https':
      return tcpEndpoint(text, tls ?? tlsOfEnvironment(env))
    default:
      throw unsupported(text)
  }
}

/** The endpoint as a user would write it; for display. */
export function endpointName(endpoint: Endpoint): string {
  if (endpoint.kind === 'unix') return `unix://${endpoint.path}`
  const host = endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host
  return `${endpoint.tls === null ? 'tcp' : 'https'}://${host}:${endpoint.port}`
}

const defaultHost = 'unix:///var/run/docker.sock'

function unixEndpoint(text: string, tls: TlsFiles | undefined): Endpoint {
  const path = text.slice('unix://'.length)
  if (!path.startsWith('/')) throw unsupported(text)
  if (tls !== undefined) {
    throw new UserError(`docker.tls is set, but ${text} is a local socket without TLS`, exitConfiguration)
  }
  return { kind: 'unix', path }
}

function tcpEndpoint(text: string, tls: TlsFiles | undefined): Endpoint {
  const url = URL.parse(text.replace(/^[a-z]+/, 'tcp'))
  const isBare = url !== null && url.hostname !== '' && url.username === '' && /^\/?$/.test(url.pathname)
  if (!isBare || url.search !== '' || url.hash !== '') throw unsupported(text)
  if (text.startsWith('https:') && tls === undefined) {
    throw new UserError(
      `docker host ${text} needs docker.tls: ca_file, cert_file, key_file`,
      exitConfiguration,
    )
  }
  // IANA's registered ports for Docker, without and with TLS.
  const port = url.port === '' ? (tls === undefined ? 2375 : 2376) : Number(url.port)
  return { kind: 'tcp', host: url.hostname.replace(/^\[|\]$/g, ''), port, tls: tls ?? null }
}

/** Like the docker CLI: any value of DOCKER_TLS_VERIFY turns TLS on. */
function tlsOfEnvironment(env: EndpointOptions['env']): TlsFiles | undefined {
  if (!env['DOCKER_TLS_VERIFY']) return undefined
  const folder = env['DOCKER_CERT_PATH'] || join(env['HOME'] || '/root', '.docker')
  return {
    caFile: join(folder, 'ca.pem'),
    certFile: join(folder, 'cert.pem'),
    keyFile: join(folder, 'key.pem'),
  }
}

function unsupported(text: string): UserError {
  const accepted = 'unix:///path/to/docker.sock, tcp://host:port, https://host:port'
  return new UserError(
    `docker host ${JSON.stringify(text)} is not supported: use ${accepted}`,
    exitConfiguration,
  )
}
