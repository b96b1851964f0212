import type { Readable } from 'node:stream'
import { errorCode, UserError } from '../../../lib/errors.ts'
import type { Container } from '../../../model/container.ts'
import { type EngineVersion, engineVersionOf } from './api-version.ts'
import { type Endpoint, endpointName } from './endpoint.ts'
import { isObject, type JsonObject } from '../../../lib/json-object.ts'
import { listContainers } from './listing.ts'
import { readOnlyDocker } from './read-only.ts'
import { getJson, getStream, type RequestLimits, type Target } from './request.ts'

/** All that tidewatch asks of an engine; null says that the container or exec is gone. */
export type DockerClient = {
  /** Where it is, for people. */
  endpoint: string
  version: () => Promise<EngineVersion>
  info: () => Promise<JsonObject>
  /** All of them, running or not, without what only an inspect tells. */
  listContainers: () => Promise<readonly Container[]>
  inspectContainer: (id: string) => Promise<JsonObject | null>
  inspectExec: (id: string) => Promise<JsonObject | null>
  /** One sample, without waiting for a second one. */
  statsOnce: (id: string) => Promise<JsonObject | null>
  /** The bytes of `GET /events`; ends only by the signal or with the engine. `since` is `seconds.nnnnnnnnn`. */
  streamEvents: (options: { since: string; signal: AbortSignal }) => Promise<Readable>
}

const defaultLimits: RequestLimits = { timeoutMs: 10_000, maxBodyBytes: 64 * 1024 * 1024 }

/** Makes a client that connects when it is first asked, and asks for the API version anew after a failure. */
export function createDockerClient(endpoint: Endpoint, limits: RequestLimits = defaultLimits): DockerClient {
  const docker = readOnlyDocker(endpoint)
  const name = endpointName(endpoint)
  let negotiated: Promise<EngineVersion> | null = null

  async function version(): Promise<EngineVersion> {
    negotiated = explained('/version', async () => {
      const raw = await getJson(docker, { path: '/version' }, limits)
      if (!isObject(raw)) throw new Error('GET /version was not answered as a Docker Engine does')
      return engineVersionOf(raw)
    })
    return await negotiated
  }

  async function explained<T>(path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      negotiated = null
      throw explanationOf(error, name, path)
    }
  }

  async function pinned({ path, query = {} }: Target): Promise<Target> {
    const { apiVersion } = await (negotiated ?? version())
    return { path: `/v${apiVersion}${path}`, query }
  }

  async function ask(target: Target): Promise<unknown> {
    const versioned = await pinned(target)
    return await explained(target.path, () => getJson(docker, versioned, limits))
  }

  async function askForObject(target: Target): Promise<JsonObject | null> {
    const answer = await ask(target)
    if (answer === null || isObject(answer)) return answer
    throw explanationOf(new Error('the answer is no JSON object'), name, target.path)
  }

  return {
    endpoint: name,
    version,
    info: async () => (await askForObject({ path: '/info' })) ?? {},
    listContainers: async () => {
      const path = '/containers/json'
      const versioned = await pinned({ path })
      return await explained(path, () =>
        listContainers((query) => getJson(docker, { ...versioned, query }, limits)),
      )
    },
    inspectContainer: async (id) => await askForObject({ path: `/containers/${segment(id)}/json` }),
    inspectExec: async (id) => await askForObject({ path: `/exec/${segment(id)}/json` }),
    statsOnce: async (id) =>
      await askForObject({
        path: `/containers/${segment(id)}/stats`,
        query: { stream: 'false', 'one-shot': 'true' },
      }),
    streamEvents: async ({ since, signal }) => {
      await version() // The engine that was here before may have been another.
      const versioned = await pinned({ path: '/events', query: { since } })
      return await explained('/events', () => getStream(docker, versioned, signal, limits))
    },
  }
}

/** Ids come from the engine's own words, yet none may lead to another path. */
function segment(id: string): string {
  if (!/^[\w.-]+$/.test(id) || id.startsWith('.'))
    throw new Error(`not an id: ${JSON.stringify(id.slice(0, 80))}`)
  return id
}

/** What a person can do about a failure, where something can be done. */
function explanationOf(cause: unknown, endpoint: string, path: string): Error {
  switch (errorCode(cause)) {
    case 'EACCES':
    case 'EPERM':
      return new UserError(
        `no right to use the Docker Engine at ${endpoint}: add the user to the group docker, or run as root`,
        1,
        { cause },
      )
    case 'ENOENT':
    case 'ENOTFOUND':
    case 'ECONNREFUSED':
      return new UserError(
        `no Docker Engine at ${endpoint}: is docker.service running? or set --docker.host`,
        1,
        { cause },
      )
    default:
      if (cause instanceof UserError) return cause
      return new Error(`GET ${path} of the Docker Engine at ${endpoint} failed`, { cause })
  }
}
