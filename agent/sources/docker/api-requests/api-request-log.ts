import type { Container } from '../../../model/container.ts'
import type { ApiRequest, CallerProcess, ExecObservation } from '../../../model/observation.ts'
import { isNamed } from './client-command.ts'
import { askedBy } from './request-line.ts'

/** A client of the API, as it was when it called. `address` is where it came from by TCP: all there is of one elsewhere. */
export type Client = {
  key: string
  process: CallerProcess | null
  container: Container | null
  address: string
}

/** What the requests of the last minute tell of execs. */
export type RequestsSeen<Request> = {
  add(request: Request): void
  /** A request of about this time may have been missed. */
  doubt(time: number): void
  /** All clients that asked to start this exec. */
  startersOf(execId: string): readonly Client[]
  /** Whether a client is known to have asked for an exec, so that it need not be looked for another one's. */
  hasStarted(client: Pick<Client, 'key'>): boolean
  /** Whether there was a request that may have been for this exec. */
  isUnsure(exec: Pick<ExecObservation, 'time' | 'container'>): boolean
}

/** Names a process until the next boot. */
export function clientKey({ pid, startTicks }: { pid: number; startTicks: number }): string {
  return `${pid} ${startTicks}`
}

/** How long requests are remembered, in milliseconds; an exec that is told later than that cannot be judged by them. */
export const rememberMs = 60_000

/** Who a request is of. */
export type Asking<Request> = {
  /** Names the client. */
  keyOf(request: Request): string
  /** Names whoever goes on with what a client began: a client by TCP has a connection for each step. */
  groupOf(request: Request): string
  /** Asked at once, for those only who ask for an exec: they may be gone in a moment. */
  clientOf(request: Request): Client
}

/** Begins with none. */
export function requestsSeen<Request extends Pick<ApiRequest, 'time' | 'text' | 'connection'>>(
  { keyOf, groupOf, clientOf }: Asking<Request>,
  maxRequests = 10_000,
): RequestsSeen<Request> {
  // By exec id, the oldest first.
  const starts = new Map<string, Start>()
  let creates: Create[] = []
  let unclearAt = -Infinity

  function add(request: Request): void {
    const { time, text } = request
    const asked = askedBy(text)
    forgetBefore(time - rememberMs)
    if (asked.what === 'unclear') doubt(time)
    if (asked.what === 'create') addCreate(request, asked.container)
    if (asked.what === 'start') addStart(request, asked.execId)
  }

  function doubt(time: number): void {
    unclearAt = Math.max(unclearAt, time)
  }

  function addCreate(request: Request, named: string): void {
    const { time, connection } = request
    creates.push({ group: groupOf(request), time, connection, named })
    if (creates.length > maxRequests) giveUp(creates.shift())
  }

  function addStart(request: Request, execId: string): void {
    const { time, connection } = request
    const key = keyOf(request)
    endCreate(groupOf(request), connection)
    const start = starts.get(execId) ?? { time, clients: new Map<string, Client>() }
    starts.set(execId, start)
    if (start.clients.has(key)) return
    // Two are as ambiguous as a hundred.
    if (start.clients.size < 2) start.clients.set(key, clientOf(request))
    const [oldest] = starts.keys()
    if (starts.size <= maxRequests || oldest === undefined) return
    giveUp(starts.get(oldest))
    starts.delete(oldest)
  }

  /** A create names no exec: it belongs to the next start by the same client, or on the same connection. */
  function endCreate(group: string, connection: bigint): void {
    const index = creates.findIndex((create) => create.group === group || create.connection === connection)
    if (index !== -1) creates.splice(index, 1)
  }

  /** What has to make room may have been for an exec that is still to be told. */
  function giveUp(request: { time: number } | undefined): void {
    if (request !== undefined) doubt(request.time)
  }

  function forgetBefore(time: number): void {
    for (const [execId, start] of starts) {
      if (start.time >= time) break
      starts.delete(execId)
    }
    const kept = creates.findIndex((create) => create.time >= time)
    if (kept !== 0) creates = kept === -1 ? [] : creates.slice(kept)
  }

  return {
    add,
    doubt,
    startersOf: (execId) => [...(starts.get(execId)?.clients.values() ?? [])],
    hasStarted: ({ key }) => [...starts.values()].some(({ clients }) => clients.has(key)),
    isUnsure: ({ time, container }) =>
      unclearAt > time - unclearMs || creates.some(({ named }) => isNamed(container, named)),
  }
}

type Start = { time: number; clients: Map<string, Client> }
type Create = { group: string; time: number; connection: bigint; named: string }

// Between the first piece of a request and the start of what it asks for.
const unclearMs = 2_000
