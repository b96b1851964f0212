import { readFileSync } from 'node:fs'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { inspect } from 'node:util'
import Docker from 'dockerode'
import { exitConfiguration, UserError } from '../../../lib/errors.ts'
import { type Endpoint, endpointName, type TlsFiles } from './endpoint.ts'

/**
 * The only access to an engine. Whatever a caller requests through this client, it sends nothing but GET requests.
 */
export function readOnlyDocker(endpoint: Endpoint): Docker {
  const docker = withoutDockerVariables(() => new Docker(connection(endpoint)))
  const modem = docker.modem as unknown as Modem
  const dial = modem.dial.bind(modem)
  const buildRequest = modem.buildRequest.bind(modem)
  modem.dial = (request, callback) => {
    if (request.method !== 'GET') {
      throw new Error(`refused to send ${request.method} ${request.path}: only GET requests are allowed`)
    }
    dial(request, callback)
  }
  // docker-modem follows a redirect with a request that has no error listener: an error would crash the process.
  modem.buildRequest = (options, ...rest) => buildRequest({ ...options, maxRedirects: 0 }, ...rest)
  return docker
}

type Modem = {
  dial(request: { method: string; path: string }, callback: unknown): void
  buildRequest(options: object, ...rest: unknown[]): void
}

// Node sets TCP keep-alive on the agent's sockets, so an event stream whose peer is gone fails within a minute.
const keepAlive = { keepAlive: true, keepAliveMsecs: 30_000 }

/**
 * docker-modem formats all its options as debug text for every request, even if unused. With an agent's sockets in
 * it, 32 concurrent requests took 16 ms of CPU each; without, 0.4 ms.
 */
function unprinted<T extends HttpAgent>(agent: T): T {
  return Object.assign(agent, { [inspect.custom]: () => 'Agent' })
}

type Connection = Docker.DockerOptions & { agent: HttpAgent }

function connection(endpoint: Endpoint): Connection {
  if (endpoint.kind === 'unix')
    return { socketPath: endpoint.path, agent: unprinted(new HttpAgent(keepAlive)) }
  const { host, port, tls } = endpoint
  if (tls === null) return { host, port, protocol: 'http', agent: unprinted(new HttpAgent(keepAlive)) }
  const material = tlsMaterial(tls, endpointName(endpoint))
  return { host, port, protocol: 'https', agent: unprinted(new HttpsAgent(keepAlive)), ...material }
}

function tlsMaterial(files: TlsFiles, name: string): Pick<Docker.DockerOptions, 'ca' | 'cert' | 'key'> {
  try {
    return {
      ca: readFileSync(files.caFile, 'utf8'),
      cert: readFileSync(files.certFile, 'utf8'),
      key: readFileSync(files.keyFile, 'utf8'),
    }
  } catch (cause) {
    throw new UserError(`cannot read the TLS files for ${name}`, exitConfiguration, { cause })
  }
}

/** The library reads the DOCKER_* variables itself, and they override its options. */
function withoutDockerVariables<T>(make: () => T): T {
  const { env } = process
  const hidden = Object.keys(env).filter((name) => name.startsWith('DOCKER_'))
  const saved = hidden.map((name) => [name, env[name]] as const)
  for (const name of hidden) delete env[name]
  try {
    return make()
  } finally {
    for (const [name, value] of saved) env[name] = value
  }
}
