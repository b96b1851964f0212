import { createHmac, randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import { isPasswordOf } from '../../agent/linux/crypt.ts'
import type { WebConfig } from './web-config.ts'

/** Whether a reader may read: `open` where nobody has to show who he is, `known` for one who did. */
export type Access = 'open' | 'known' | 'denied' | 'busy'

/** Says who may read, by the configuration of the moment. */
export type Authenticate = (request: IncomingMessage, config: WebConfig) => Promise<Access>

// One check takes 100 ms of a CPU by design: what was answered once is remembered, and few wait at once.
const maxRemembered = 256
const maxWaiting = 8

export function authentication(check = isPasswordOf): Authenticate {
  // What is remembered is no hint to the password for whoever reads the daemon's memory.
  const secret = randomBytes(32)
  const remembered = new Map<string, Promise<boolean>>()
  let waiting = 0

  async function isPassword(
    user: string,
    password: string,
    users: WebConfig['users'],
  ): Promise<boolean | null> {
    // A name that nobody has takes as long as one that somebody has.
    const hash = users.get(user) ?? nobody
    const key = createHmac('sha256', secret)
      .update(JSON.stringify([hash, user, password]))
      .digest('base64')
    let answer = remembered.get(key)
    if (answer === undefined) {
      if (waiting >= maxWaiting) return null
      waiting += 1
      answer = check(hash, password).finally(() => (waiting -= 1))
      remembered.set(key, answer)
      if (remembered.size > maxRemembered) remembered.delete(remembered.keys().next().value as string)
      answer.catch(() => remembered.delete(key))
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

// A hash of something random that nobody knows.
const nobody = '$2b$10$5s8Y0VZPQ4o0oQ1gk0zj5eKqf7C3m0v7l0yq0vX7tqk8d5Zb0yZ2G'

function credentialsOf(header: string): { user: string; password: string } | null {
  const encoded = /^basic +([A-Za-z0-9+/=_-]+)$/i.exec(header)?.[1]
  if (encoded === undefined) return null
  const text = Buffer.from(encoded, 'base64').toString()
  const colon = text.indexOf(':')
  // crypt(3) ends at a zero byte; what stands behind it must not be without meaning.
  if (colon < 0 || text.includes('\0')) return null
  return { user: text.slice(0, colon), password: text.slice(colon + 1) }
}
