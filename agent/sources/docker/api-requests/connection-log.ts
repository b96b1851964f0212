import type { Transfer } from './tcp-probes/record.ts'
import { type Client, clientKey, rememberMs, requestsSeen, type RequestsSeen } from './api-request-log.ts'

/** What went over TCP between the engine and its clients, and who those are as far as they are of this host. */
export type ConnectionsSeen = Pick<RequestsSeen<Transfer>, 'startersOf' | 'isUnsure' | 'doubt'> & {
  add(transfer: Transfer): void
  /** Clients on whose encrypted connections there was something shortly before; those of one host elsewhere as one. */
  activeBefore(time: number): readonly Client[]
}

/** Who a process is, asked once for each connection and at once; null for ourselves. */
export type DescribeOwner = (transfer: Transfer) => Pick<Client, 'process' | 'container'> | null

/** Begins with nothing. Times of transfers in epoch milliseconds here. */
export function connectionsSeen(describe: DescribeOwner, max = 4_096): ConnectionsSeen {
  // By the end of the connection that the engine sees as its peer, the oldest first.
  const owners = new Map<string, Owner>()
  // A record of TLS may be read in pieces, of which only the first looks like one.
  const encrypted = new Set<string>()
  const pieces = new Map<bigint, string>()
  let activity: { time: number; peer: string }[] = []
  const requests = requestsSeen<Transfer>({
    keyOf: ({ peer }) => peer,
    groupOf: ({ peer }) => hostOf(peer),
    clientOf: ({ peer }) => ({ key: peer, process: null, container: null, address: peer }),
  })

  function add(transfer: Transfer): void {
    const { way, peer, text } = transfer
    if (way === 'sent') return addOwner(transfer)
    if (isOfTls.test(text)) encrypted.add(peer)
    if (encrypted.size > max) encrypted.delete(encrypted.values().next().value ?? '')
    if (encrypted.has(peer)) addActivity(transfer)
    else if (mayBePost.test(text)) addReceived(transfer)
  }

  function addOwner(transfer: Transfer): void {
    const { local, peer } = transfer
    const key = clientKey(transfer)
    if (owners.get(local)?.key === key && owners.get(local)?.engine === peer) return
    owners.delete(local)
    owners.set(local, { key, engine: peer, client: describe(transfer) })
    if (owners.size > max) owners.delete(owners.keys().next().value ?? '')
  }

  function addActivity({ time, peer }: Transfer): void {
    activity.push({ time, peer })
    const kept = activity.findIndex((one) => one.time >= time - rememberMs)
    if (kept > 0) activity = activity.slice(kept)
    if (activity.length > max) requests.doubt(activity.shift()?.time ?? time)
  }

  /** A first byte that was read by itself belongs to what is read next. */
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

  /** The process at the other end of a connection, where it is of this host. */
  function known(client: Client): Client[] {
    const owner = owners.get(client.address)
    if (owner === undefined) return [client]
    return owner.client === null ? [] : [{ ...client, ...owner.client, key: owner.key }]
  }

  function activeBefore(time: number): readonly Client[] {
    const peers = activity.filter((one) => one.time > time - lookBackMs && one.time <= time + slackMs)
    const clients = [...new Set(peers.map(({ peer }) => peer))].flatMap((peer) =>
      known({ key: hostOf(peer), process: null, container: null, address: peer }),
    )
    return distinct(clients)
  }

  return {
    add,
    doubt: requests.doubt,
    isUnsure: requests.isUnsure,
    startersOf: (execId) => distinct(requests.startersOf(execId).flatMap(known)),
    activeBefore,
  }
}

type Owner = { key: string; engine: string; client: Pick<Client, 'process' | 'container'> | null }

/** One who has several connections is told without their ports. */
function distinct(clients: readonly Client[]): Client[] {
  const byKey = new Map<string, Client>()
  for (const client of clients) {
    const known = byKey.get(client.key)
    byKey.set(client.key, known === undefined ? client : { ...known, address: hostOf(client.address) })
  }
  return [...byKey.values()]
}

// Content type and version of a record (RFC 8446, section 5.1).
// oxlint-disable-next-line no-control-regex
const isOfTls = /^[\u0014-\u0017]\u0003/

// Not read, whole, a piece, or what followed such.
const mayBePost = /^(?:$|POST|OST |P.{0,2}$)/s

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':'))
}

// The engine tells of an exec within milliseconds after it was asked, unless it has to wait for a lock or a processor.
const lookBackMs = 2_000
// Of clocks: an exec is asked for before it is told.
const slackMs = 10
