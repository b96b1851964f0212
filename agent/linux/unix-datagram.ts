import { closeSync } from 'node:fs'
import { endianness } from 'node:os'
import { libc, SystemCallError } from './libc.ts'

/** A datagram socket to one address: the journal, syslog, systemd. Node itself supports stream sockets only. */
export type UnixDatagram = {
  /** Sends without blocking. Returns null, or the error (`EAGAIN` if the receiver cannot keep up). */
  send(message: string | Buffer): SystemCallError | null
  close(): void
}

/** Opens a socket to a path or, with a leading `@`, to a name in the abstract namespace (unix(7)). */
export function openUnixDatagram(address: string): UnixDatagram {
  const to = socketAddress(address)
  const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  if (fd < 0) throw new SystemCallError('socket')
  return {
    send(message) {
      const bytes = Buffer.from(message)
      const sent = sendto(fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, to, to.length)
      return sent < 0 ? new SystemCallError('sendto') : null
    },
    close: () => closeSync(fd),
  }
}

/** `struct sockaddr_un` of the exact length: in the abstract namespace every byte is part of the name. */
export function socketAddress(address: string): Buffer {
  const isAbstract = address.startsWith('@')
  if (!isAbstract && !address.startsWith('/')) throw new Error(`not a Unix socket address: ${address}`)
  const name = Buffer.from(isAbstract ? `\0${address.slice(1)}` : `${address}\0`)
  if (name.length > MAX_NAME) throw new Error(`Unix socket address too long: ${address}`)
  const family = Buffer.from(endianness() === 'LE' ? [AF_UNIX, 0] : [0, AF_UNIX])
  return Buffer.concat([family, name])
}

const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const MAX_NAME = 108

const socket = libc.func('int socket(int domain, int type, int protocol)') as (
  domain: number,
  type: number,
  protocol: number,
) => number

const sendto = libc.func(
  'long sendto(int fd, const void *bytes, size_t length, int flags, const void *to, uint32_t toLength)',
) as (fd: number, bytes: Buffer, length: number, flags: number, to: Buffer, toLength: number) => number
