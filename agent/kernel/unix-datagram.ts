import { closeSync } from 'node:fs'
import { libc, SystemCallError } from './libc.ts'

const socket = libc.func('int socket(int domain, int type, int protocol)') as (
  domain: number,
  type: number,
  protocol: number,
) => number
const sendto = libc.func(
  'long sendto(int fd, const void *data, size_t length, int flags, const void *address, uint32_t addressLength)',
) as (
  fd: number,
  data: Buffer,
  length: number,
  flags: number,
  address: Buffer,
  addressLength: number,
) => number

const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
const MSG_NOSIGNAL = 0x4000

/** A socket that sends whole messages to where services listen: the journal, syslog, systemd. Node has none (unix(7)). */
export type UnixDatagram = {
  /** Sends one message and never waits; throws `SystemCallError`, `EAGAIN` where the other side does not keep up. */
  send(message: Buffer): void
  close(): void
}

/** Opens one for a path, or for a name in the abstract namespace, which begins with `@`. */
export function openUnixDatagram(path: string): UnixDatagram {
  const address = unixAddress(path)
  const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
  if (fd < 0) throw new SystemCallError('socket')
  return {
    send(message) {
      if (sendto(fd, message, message.length, MSG_NOSIGNAL, address, address.length) < 0)
        throw new SystemCallError('sendto')
    },
    close: () => closeSync(fd),
  }
}

/** `struct sockaddr_un`: the family, and the path as bytes; an abstract name begins with a zero byte. */
export function unixAddress(path: string): Buffer {
  const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : `${path}\0`)
  if (name.length > 108) throw new Error(`the path of a socket has at most 107 bytes: ${path}`)
  const family = Buffer.alloc(2)
  if (new Uint8Array(new Uint16Array([1]).buffer)[0] === 1) family.writeUInt16LE(AF_UNIX)
  else family.writeUInt16BE(AF_UNIX)
  return Buffer.concat([family, name])
}
