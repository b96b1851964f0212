import { BoundedMap } from '../../../lib/bounded-map.ts'
import type { Container } from '../../../model/container.ts'
import type { ApiRequest, CallerProcess, ExecObservation } from '../../../model/observation.ts'
import { isNamed } from './client-command.ts'
import { parseRequestLine } from './request-line.ts'

/**
 * An API client, as of its request. `address` is its TCP address, the only known fact about a client on another host.
 */
export type Client = {
  key: string
  process: CallerProcess | null
  container: Container | null
  address: string
}

/** The exec requests of the last minute. */
export type ApiRequestLog<Request> = {
  add(request: Request): void
  /** Records that a request at about this time may have been missed. */
  markUncertain(time: number): void
  /** All clients that requested the start of this exec. */
  startersOf(execId: string): readonly Client[]
  /** Whether a client is known to have started an exec; then it is no candidate for another. */
  hasStarted(client: Pick<Client, 'key'>): boolean
  /** Whether an unidentified or missed request may have been for this exec. */
  isUncertain(exec: Pick<ExecObservation, 'time' | 'container'>): boolean
}

/** Identifies a process until the next boot. */
export function clientKey({ pid, startTicks }: { pid: number; startTicks: number }): string {
  return `${pid} ${startTicks}`
}

/** How long requests are remembered, in milliseconds. An exec reported later has no verdict from requests. */
export const rememberMs = 60_000

/** Identifies the client of a request. */
export type ClientIdentity<Request> = {
  /** Identifies the client. */
  keyOf(request: Request): string
  /** Identifies the client across connections: over TCP it may use a new one for each step. */
  groupOf(request: Request): string
  /** Called immediately, and only for starts of execs: the client may exit soon. */
  clientOf(request: Request): Client
}

export function apiRequestLog<Request extends Pick<ApiRequest, 'time' | 'text' | 'connection'>>(
  { keyOf, groupOf, clientOf }: ClientIdentity<Request>,
  maxRequests = 10_000,
): ApiRequestLog<Request> {
  // By exec id, oldest first.
  const starts = new BoundedMap<string, Start>(maxRequests, onEvicted)
  let creates: Create[] = []
  let uncertainAt = -Infinity

  function add(request: Request): void {
    const { time, text } = request
    const operation = parseRequestLine(text)
    forgetBefore(time - rememberMs)
    if (operation.kind === 'unclear') markUncertain(time)
    if (operation.kind === 'create') addCreate(request, operation.container)
    if (operation.kind === 'start') addStart(request, operation.execId)
  }

  function markUncertain(time: number): void {
    uncertainAt = Math.max(uncertainAt, time)
  }

  function addCreate(request: Request, named: string): void {
    const { time, connection } = request
    creates.push({ group: groupOf(request), time, connection, named })
    if (creates.length > maxRequests) onEvicted(creates.shift())
  }

  function addStart(request: Request, execId: string): void {
    const { time, connection } = request
    const key = keyOf(request)
    endCreate(groupOf(request), connection)
    const start = starts.get(execId) ?? { time, clients: new Map<string, Client>() }
    starts.set(execId, start)
    // Two clients are as ambiguous as a hundred.
    if (!start.clients.has(key) && start.clients.size < 2) start.clients.set(key, clientOf(request))
  }

  /** A create has no exec id: it belongs to the next start by the same client, or on the same connection. */
  function endCreate(group: string, connection: bigint): void {
    const index = creates.findIndex((create) => create.group === group || create.connection === connection)
    if (index !== -1) creates.splice(index, 1)
  }

  /** An evicted request may have been for an exec that is not reported yet. */
  function onEvicted(request: { time: number } | undefined): void {
    if (request !== undefined) markUncertain(request.time)
  }

  function forgetBefore(time: number): void {
    for (const [execId, start] of starts) {
      if (start.time >= time) break
      starts.delete(execId)
    }
    const first = creates.findIndex((create) => create.time >= time)
    if (first !== 0) creates = first === -1 ? [] : creates.slice(first)
  }

  return {
    add,
    markUncertain,
    startersOf: (execId) => [...(starts.get(execId)?.clients.values() ?? [])],
    hasStarted: ({ key }) => [...starts.values()].some(({ clients }) => clients.has(key)),
    isUncertain: ({ time, container }) =>
      uncertainAt > time - uncertainMs || creates.some(({ named }) => isNamed(container, named)),
  }
}

type Start = { time: number; clients: Map<string, Client> }
type Create = { group: string; time: number; connection: bigint; named: string }

// The longest time between the first bytes of a request and the start of its exec.
const uncertainMs = 2_000
