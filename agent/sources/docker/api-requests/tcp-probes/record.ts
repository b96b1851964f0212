import { recordTime, startTicks } from '../../../processes/modes/ebpf/decode.ts'
import { common, recordTypes, transferred } from '../../../../ebpf/layout.ts'

/** Bytes that a process received or sent over TCP, by a record of `transfer.ts`. */
export type Transfer = {
  way: 'received' | 'sent'
  pid: number
  startTicks: number
  uid: number
  euid: number
  /** In milliseconds since boot. */
  time: number
  /** The process's end of the connection, by its address in the kernel. */
  connection: bigint
  /** Address and port: `10.0.0.1:2375`, `[::1]:2375`. */
  local: string
  peer: string
  /** How it begins; empty where nobody can read it. */
  text: string
}

/** Reads a record; null for one that makes no sense. */
export function decodeTransfer(bytes: Buffer, offset: number, length: number): Transfer | null {
  if (length < transferred.length) return null
  const u32 = (field: number) => bytes.readUInt32LE(offset + field)
  const type = u32(common.type)
  const textBytes = u32(transferred.textBytes)
  const isKnown = type === recordTypes.received || type === recordTypes.sent
  if (!isKnown || textBytes > transferred.maxText) return null
  const isOld = bytes.readUInt16LE(offset + transferred.family) === AF_INET
  const addressAt = (field: number) => {
    const at = offset + field
    return isOld ? ipv4(bytes.subarray(at, at + 4)) : ipv6(bytes.subarray(at, at + 16))
  }
  const text = offset + transferred.text
  return {
    way: type === recordTypes.received ? 'received' : 'sent',
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

/** An IPv4 address by its own name: a socket that listens for both has it mapped (RFC 4291, section 2.5.5.2). */
function ipv6(bytes: Buffer): string {
  const isMapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes.readUInt16BE(10) === 0xffff
  if (isMapped) return ipv4(bytes.subarray(12))
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16))
  // The shortest form, as people and other programs write it (RFC 5952).
  return new URL(`http://[${groups.join(':')}]`).hostname
}
