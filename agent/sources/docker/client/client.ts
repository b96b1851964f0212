import type { Readable } from 'node:stream'
import { errorCode, UserError } from '../../../lib/errors.ts'
import type { Container } from '../../../model/container.ts'
import { type EngineVersion, engineVersionOf } from './api-version.ts'
import { type Endpoint, endpointName } from './endpoint.ts'
import { isObject, type JsonObject } from '../../../lib/json-object.ts'
import { listContainers } from './listing.ts'
import { readOnlyDocker } from './read-only.ts'
import { getJson, getStream, type RequestLimits, type Target } from './request.ts'

/** Every call that tidewatch makes to an engine; null means that the container or exec is gone. */
export type DockerClient = {
  /** Its address, for display. */
  endpoint: string
  version: () => Promise<EngineVersion>
  info: () => Promise<JsonObject>
  /** All containers, running or not, without the details that need an inspect. */
  listContainers: () => Promise<readonly Container[]>
  inspectContainer: (id: string) => Promise<JsonObject | null>
  inspectExec: (id: string) => Promise<JsonObject | null>
  /** One sample, without waiting for a second. */
  statsOnce: (id: string) => Promise<JsonObject | null>
  /** The bytes of `GET /events`; ends only on the signal or when the engine stops. `since` is `seconds.nnnnnnnnn`. */
  streamEvents: (options: { since: string; signal: AbortSignal }) => Promise<Readable>
}

const defaultLimits: RequestLimits = { timeoutMs: 10_000, maxBodyBytes: 64 * 1024 * 1024 }

/** Creates a client that connects on first use, and negotiates the API version again after a failure. */
export function createDockerClient(endpoint: Endpoint, limits: RequestLimits = defaultLimits): DockerClient {
  const docker = readOnlyDocker(endpoint)
  const name = endpointName(endpoint)
  let negotiated: Promise<EngineVersion> | null = null

  async function version(): Promise<EngineVersion> {
    negotiated = withExplanation('/version', async () => {
      const raw = await getJson(docker, { path: '/version' }, limits)
      if (!isObject(raw)) throw new Error('the response to GET /version is not from a Docker Engine')
      return engineVersionOf(raw)
    })
    return await negotiated
  }

  async function withExplanation<T>(path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      negotiated = null
      throw explain(error, name, path)
    }
  }

  async function pinned({ path, query = {} }: Target): Promise<Target> {
    const { apiVersion } = await (negotiated ?? version())
    return { path: `/v${apiVersion}${path}`, query }
  }

  async function get(target: Target): Promise<unknown> {
    const versioned = await pinned(target)
    return await withExplanation(target.path, () => getJson(docker, versioned, limits))
  }

  async function getObject(target: Target): Promise<JsonObject | null> {
    const response = await get(target)
    if (response === null || isObject(response)) return response
    throw explain(new Error('the response is not a JSON object'), name, target.path)
  }

  return {
    endpoint: name,
    version,
    info: async () => (await getObject({ path: '/info' })) ?? {},
    listContainers: async () => {
      const path = '/containers/json'
      const versioned = await pinned({ path })
      return await withExplanation(path, () =>
        listContainers((query) => getJson(docker, { ...versioned, query }, limits)),
      )
    },
    inspectContainer: async (id) => await getObject({ path: `/containers/${segment(id)}/json` }),
    inspectExec: async (id) => await getObject({ path: `/exec/${segment(id)}/json` }),
    statsOnce: async (id) =>
      await getObject({
        path: `/containers/${segment(id)}/stats`,
        query: { stream: 'false', 'one-shot': 'true' },
      }),
    streamEvents: async ({ since, signal }) => {
      await version() // The engine may have been replaced since the last call.
      const versioned = await pinned({ path: '/events', query: { since } })
      return await withExplanation('/events', () => getStream(docker, versioned, signal, limits))
    },
  }
}

/** Ids come from the engine, but none may change the path. */
function segment(id: string): string {
  if (!/^[\w.-]+$/.test(id) || id.startsWith('.'))
    throw new Error(`invalid id: ${JSON.stringify(id.slice(0, 80))}`)
  return id
}

/** Says what the user can do about a failure, if anything. */
function explain(cause: unknown, endpoint: string, path: string): Error {
  switch (errorCode(cause)) {
    case 'EACCES':
    case 'EPERM':
      return new UserError(
        `permission denied for the Docker Engine at ${endpoint}: add the user to the group docker, or run as root`,
        1,
        { cause },
      )
    case 'ENOENT':
    case 'ENOTFOUND':
    case 'ECONNREFUSED':
      return new UserError(
        `cannot reach the Docker Engine at ${endpoint}: is docker.service running? Otherwise set --docker.host`,
        1,
        { cause },
      )
    default:
      if (cause instanceof UserError) return cause
      return new Error(`GET ${path} of the Docker Engine at ${endpoint} failed`, { cause })
  }
}
