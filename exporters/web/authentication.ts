import { createHmac, randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import { BoundedMap } from '../../agent/lib/bounded-map.ts'
import { isPasswordOf } from '../../agent/linux/crypt.ts'
import type { WebConfig } from './web-config.ts'

/** The access of a client: `open` if no authentication is required, `known` if the client authenticated. */
export type Access = 'open' | 'known' | 'denied' | 'busy'

/** Decides the access of a request by the current configuration. */
export type Authenticate = (request: IncomingMessage, config: WebConfig) => Promise<Access>

// One bcrypt check takes 100 ms of CPU time by design: results are cached, and few checks may wait at once.
const maxCached = 256
const maxWaiting = 8

export function authentication(check = isPasswordOf): Authenticate {
  // The cache keys are keyed hashes, so that they do not reveal passwords.
  const secret = randomBytes(32)
  const cached = new BoundedMap<string, Promise<boolean>>(maxCached)
  let waiting = 0

  async function isPassword(
    user: string,
    password: string,
    users: WebConfig['users'],
  ): Promise<boolean | null> {
    // An unknown user takes as long to check as a known one, so that timing does not reveal user names.
    const hash = users.get(user) ?? unknownUserHash
    const key = createHmac('sha256', secret)
      .update(JSON.stringify([hash, user, password]))
      .digest('base64')
    let answer = cached.get(key)
    if (answer === undefined) {
      if (waiting >= maxWaiting) return null
      waiting += 1
      answer = check(hash, password).finally(() => (waiting -= 1))
      cached.set(key, answer)
      answer.catch(() => cached.delete(key))
    }
    return (await answer) && users.has(user)
  }

  return async (request, { tls, users }) => {
    const hasCertificate =
      tls !== null &&
      ['VerifyClientCertIfGiven', 'RequireAndVerifyClientCert'].includes(tls.clientAuth) &&
      request.socket instanceof TLSSocket &&
      request.socket.authorized
    if (users.size === 0) return hasCertificate ? 'known' : 'open'
    const given = credentialsOf(request.headers.authorization ?? '')
    if (given === null) return 'denied'
    const isRight = await isPassword(given.user, given.password, users)
    return isRight === null ? 'busy' : isRight ? 'known' : 'denied'
  }
}

// A hash of a random password.
const unknownUserHash = '$2b$10$5s8Y0VZPQ4o0oQ1gk0zj5eKqf7C3m0v7l0yq0vX7tqk8d5Zb0yZ2G'

function credentialsOf(header: string): { user: string; password: string } | null {
  const encoded = /^basic +([A-Za-z0-9+/=_-]+)$/i.exec(header)?.[1]
  if (encoded === undefined) return null
  const text = Buffer.from(encoded, 'base64').toString()
  const colon = text.indexOf(':')
  // crypt(3) ignores everything after a NUL byte, so a password with one is rejected.
  if (colon < 0 || text.includes('\0')) return null
  return { user: text.slice(0, colon), password: text.slice(colon + 1) }
}
