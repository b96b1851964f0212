import { common } from '../../../../ebpf/layout.ts'
import { recordTime, startTicks } from '../../../../ebpf/record.ts'

/** The types of records that the TCP programs write into their ring. */
export const transferTypes = { received: 5, sent: 6 } as const

/** The fields of a record behind the common header: data on a TCP connection, and this process's end of it. */
export const transferred = {
  textBytes: 36, // u32, 0 if it could not be read
  connection: 40, // u64
  family: 48, // u16
  localPort: 50, // u16
  peerPort: 52, // u16, in network byte order
  localAddress: 56, // 16 bytes; IPv4 uses the first 4
  peerAddress: 72, // the same
  text: 88,
  maxText: 256,
  length: 88 + 256,
} as const

/** Bytes that a process received or sent over TCP, from a record of `program.ts`. */
export type Transfer = {
  way: 'received' | 'sent'
  pid: number
  startTicks: number
  uid: number
  euid: number
  /** In milliseconds since boot. */
  time: number
  /** The kernel address of the process's end of the connection. */
  connection: bigint
  /** Address and port: `10.0.0.1:2375`, `[::1]:2375`. */
  local: string
  peer: string
  /** Its first bytes; empty if unreadable. */
  text: string
}

/** Decodes a record; null if it is invalid. */
export function decodeTransfer(bytes: Buffer, offset: number, length: number): Transfer | null {
  if (length < transferred.length) return null
  const u32 = (field: number) => bytes.readUInt32LE(offset + field)
  const type = u32(common.type)
  const textBytes = u32(transferred.textBytes)
  const isKnown = type === transferTypes.received || type === transferTypes.sent
  if (!isKnown || textBytes > transferred.maxText) return null
  const isIpv4 = bytes.readUInt16LE(offset + transferred.family) === AF_INET
  const addressAt = (field: number) => {
    const at = offset + field
    return isIpv4 ? ipv4(bytes.subarray(at, at + 4)) : ipv6(bytes.subarray(at, at + 16))
  }
  const text = offset + transferred.text
  return {
    way: type === transferTypes.received ? 'received' : 'sent',
    pid: u32(common.pid),
    startTicks: startTicks(bytes, offset),
    uid: u32(common.uid),
    euid: u32(common.euid),
    time: recordTime(bytes, offset),
    connection: bytes.readBigUInt64LE(offset + transferred.connection),
    local: `${addressAt(transferred.localAddress)}:${bytes.readUInt16LE(offset + transferred.localPort)}`,
    peer: `${addressAt(transferred.peerAddress)}:${bytes.readUInt16BE(offset + transferred.peerPort)}`,
    text: bytes.toString('latin1', text, text + textBytes),
  }
}

const AF_INET = 2

function ipv4(bytes: Buffer): string {
  return bytes.join('.')
}

/**
 * Formats an IPv6 address. A dual-stack socket has IPv4 addresses mapped (RFC 4291, section 2.5.5.2); those become
 * IPv4.
 */
function ipv6(bytes: Buffer): string {
  const isMapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes.readUInt16BE(10) === 0xffff
  if (isMapped) return ipv4(bytes.subarray(12))
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16))
  // The canonical short form (RFC 5952).
  return new URL(`http://[${groups.join(':')}]`).hostname
}
