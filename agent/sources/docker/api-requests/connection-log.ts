import { BoundedMap, BoundedSet } from '../../../lib/bounded-map.ts'
import type { Transfer } from './tcp-probes/record.ts'
import { type Client, clientKey, rememberMs, apiRequestLog, type ApiRequestLog } from './api-request-log.ts'

/** TCP traffic between the engine and its clients, with the client processes of this host. */
export type ConnectionLog = Pick<ApiRequestLog<Transfer>, 'startersOf' | 'isUncertain' | 'markUncertain'> & {
  add(transfer: Transfer): void
  /**
   * Clients with traffic on encrypted connections shortly before; all connections of another host count as one
   * client.
   */
  activeBefore(time: number): readonly Client[]
}

/** Describes a process; called immediately and once per connection. Null for tidewatch itself. */
export type DescribeOwner = (transfer: Transfer) => Pick<Client, 'process' | 'container'> | null

/** Here the times of transfers are epoch milliseconds. */
export function connectionLog(describe: DescribeOwner, max = 4_096): ConnectionLog {
  // By the address that is the engine's peer.
  const owners = new BoundedMap<string, Owner>(max)
  // The peers with TLS. A TLS record may be read in pieces, and only the first looks like one.
  const encrypted = new BoundedSet<string>(max)
  const pieces = new Map<bigint, string>()
  let activity: { time: number; peer: string }[] = []
  const requests = apiRequestLog<Transfer>({
    keyOf: ({ peer }) => peer,
    groupOf: ({ peer }) => hostOf(peer),
    clientOf: ({ peer }) => ({ key: peer, process: null, container: null, address: peer }),
  })

  function add(transfer: Transfer): void {
    const { way, peer, text } = transfer
    if (way === 'sent') return addOwner(transfer)
    if (tlsRecord.test(text)) encrypted.add(peer)
    if (encrypted.has(peer)) addActivity(transfer)
    else if (mayBePost.test(text)) addReceived(transfer)
  }

  function addOwner(transfer: Transfer): void {
    const { local, peer } = transfer
    const key = clientKey(transfer)
    if (owners.get(local)?.key === key && owners.get(local)?.engine === peer) return
    owners.setNewest(local, { key, engine: peer, client: describe(transfer) })
  }

  function addActivity({ time, peer }: Transfer): void {
    activity.push({ time, peer })
    const first = activity.findIndex((one) => one.time >= time - rememberMs)
    if (first > 0) activity = activity.slice(first)
    if (activity.length > max) requests.markUncertain(activity.shift()?.time ?? time)
  }

  /** A first byte that was read separately belongs to the next read. */
  function addReceived(transfer: Transfer): void {
    const { connection, text } = transfer
    const before = pieces.get(connection) ?? ''
    pieces.delete(connection)
    const isRest = before !== '' && text.startsWith('OST ')
    if (text === 'P') pieces.set(connection, text)
    if (pieces.size > max) pieces.clear()
    if (isRest || !text.startsWith('OST '))
      requests.add(isRest ? { ...transfer, text: before + text } : transfer)
  }

  /** Adds the process at the other end of a connection, if it runs on this host. */
  function withOwner(client: Client): Client[] {
    const owner = owners.get(client.address)
    if (owner === undefined) return [client]
    return owner.client === null ? [] : [{ ...client, ...owner.client, key: owner.key }]
  }

  function activeBefore(time: number): readonly Client[] {
    const peers = activity.filter((one) => one.time > time - lookBackMs && one.time <= time + slackMs)
    const clients = [...new Set(peers.map(({ peer }) => peer))].flatMap((peer) =>
      withOwner({ key: hostOf(peer), process: null, container: null, address: peer }),
    )
    return distinct(clients)
  }

  return {
    add,
    markUncertain: requests.markUncertain,
    isUncertain: requests.isUncertain,
    startersOf: (execId) => distinct(requests.startersOf(execId).flatMap(withOwner)),
    activeBefore,
  }
}

type Owner = { key: string; engine: string; client: Pick<Client, 'process' | 'container'> | null }

/** Merges a client's connections; with several of them its address has no port. */
function distinct(clients: readonly Client[]): Client[] {
  const byKey = new Map<string, Client>()
  for (const client of clients) {
    const known = byKey.get(client.key)
    byKey.set(client.key, known === undefined ? client : { ...known, address: hostOf(client.address) })
  }
  return [...byKey.values()]
}

// Content type and version of a TLS record (RFC 8446, section 5.1).
// oxlint-disable-next-line no-control-regex
const tlsRecord = /^[\u0014-\u0017]\u0003/

// Unreadable, a whole request, its first bytes, or the rest after a first byte.
const mayBePost = /^(?:$|POST|OST |P.{0,2}$)/s

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':'))
}

// The engine reports an exec within milliseconds after the request, unless it has to wait for a lock or a CPU.
const lookBackMs = 2_000
// Clock tolerance: the request precedes the report.
const slackMs = 10
