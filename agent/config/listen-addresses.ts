import { isIPv4, isIPv6 } from 'node:net'

/** An address to listen on. `host` is without brackets; empty for every address of the host, like `::`. */
export type ListenAddress = { text: string; host: string; port: number }

/** Splits `HOST:PORT`, `:PORT` or `[IPv6]:PORT`. */
export function parseListenAddress(text: string): ListenAddress {
  const colon = text.lastIndexOf(':')
  const host = text.slice(0, colon).replace(/^\[|\]$/g, '')
  return { text, host: canonicalHost(host), port: Number(text.slice(colon + 1)) }
}

/**
 * Whether this address must leave IPv4 to another one: a socket for `[::]` also takes the IPv4 connections of its port
 * (ipv6(7), IPV6_V6ONLY), and the port would then be in use for the other address.
 */
export function isOnlyIPv6({ host, port }: ListenAddress, all: readonly ListenAddress[]): boolean {
  return isEveryAddress(host) && all.some((other) => other.port === port && isIPv4(other.host))
}

/** Why these addresses cannot be listened on together, with the index of the later one; null if they can be. */
export function listenConflict(texts: readonly string[]): { index: number; message: string } | null {
  const all = texts.map(parseListenAddress)
  for (const [index, later] of all.entries()) {
    const earlier = all.slice(0, index).find((other) => isConflict(other, later, all))
    if (earlier === undefined) continue
    const relation = earlier.host === later.host ? 'is the same address as' : 'overlaps with'
    return {
      index,
      message: `${later.text} ${relation} ${earlier.text}, which is also listed; keep one of them`,
    }
  }
  return null
}

function isConflict(a: ListenAddress, b: ListenAddress, all: readonly ListenAddress[]): boolean {
  // The kernel chooses a free port for each 0.
  if (a.port !== b.port || a.port === 0) return false
  return a.host === b.host || includes(a, b, all) || includes(b, a, all)
}

/** Whether a socket for the first address also takes the connections of the second. */
function includes(wide: ListenAddress, { host }: ListenAddress, all: readonly ListenAddress[]): boolean {
  // It is one of the two loopback addresses, whichever the host's resolver returns first.
  if (wide.host === 'localhost') return host === '::1' || (isIPv4(host) && host.startsWith('127.'))
  if (wide.host === '0.0.0.0') return host === 'localhost' || isIPv4(host)
  if (!isEveryAddress(wide.host)) return false
  return host === 'localhost' || isIPv6(host) || (isIPv4(host) && !isOnlyIPv6(wide, all))
}

function isEveryAddress(host: string): boolean {
  return host === '' || host === '::'
}

/** The same text for all spellings of an address. */
function canonicalHost(host: string): string {
  return isIPv6(host) ? new URL(`http://[${host}]`).hostname.slice(1, -1) : host.toLowerCase()
}
