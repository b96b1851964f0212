import type { Btf } from '../../../../linux/btf/btf.ts'
import { frame, r0, r1, r3, r6, r7, r8, r9 } from '../../../../ebpf/assembler.ts'
import { type Maps, send, takeScratch, writeHeader } from '../../../../ebpf/blocks.ts'
import { leaveIfRecent } from '../../../../ebpf/budget.ts'
import { helpers, type Program, slots } from '../../../../ebpf/program.ts'
import type { TracepointProgram } from '../../../../ebpf/loader.ts'
import { enterCall, jumpIfPost, post, readText } from '../../../../ebpf/socket-text.ts'
import { transferred, transferTypes } from './record.ts'

/** Whether this kernel has the tracepoints for TCP transfers: since Linux 6.3. */
export function supportsTcpProbes(btf: Btf): boolean {
  return ['trace_event_raw_sock_msg_length', 'sock.__sk_common.skc_v6_daddr'].every(btf.has)
}

/**
 * Reports data read from TCP connections to one of these ports of this host, in the context of the reader: there the
 * bytes are complete, however they arrived. Data that may be a POST request is always reported, other data at
 * intervals.
 */
export function receivedProgram(ports: readonly number[]): TracepointProgram {
  return {
    name: 'tidewatch_tcp_in',
    tracepoint: 'sock_recv_length',
    missesNothing: true,
    write(p, { maps, ringFull }) {
      beginTransfer(p, maps, 'sock.__sk_common.skc_num', ports)
      readReceived(p)
      leaveUnlessRelevant(p, maps)
      endTransfer(p, maps, transferTypes.received, ringFull)
    },
  }
}

/** Reports, at intervals, which process sends over a TCP connection to one of these ports, on any host. */
export function sentProgram(ports: readonly number[]): TracepointProgram {
  return {
    name: 'tidewatch_tcp_out',
    tracepoint: 'sock_send_length',
    missesNothing: true,
    write(p, { maps, ringFull }) {
      beginTransfer(p, maps, 'sock.__sk_common.skc_dport', ports.map(swapBytes))
      p.store(4, r7, transferred.textBytes, 0)
      leaveIfRecent(p, maps, ownerEveryNs)
      endTransfer(p, maps, transferTypes.sent, ringFull)
    },
  }
}

// Limits an upload too, which comes in thousands of pieces.
const otherEveryNs = 20_000_000
// A connection seldom changes its process.
const ownerEveryNs = 1_000_000_000

const AF_INET = 2
const AF_INET6 = 10
const TCP_ESTABLISHED = 1
const TCP_CLOSE_WAIT = 8

/**
 * For sock_recv_length(sock, length, …) and sock_send_length: r6 = the socket, r9 = the number of bytes, r7 = the
 * record.
 */
function beginTransfer(p: Program, maps: Maps, port: string, ports: readonly number[]): void {
  const isTcp = p.newLabel()
  const isOpen = p.newLabel()
  const isOurs = p.newLabel()
  p.load(8, r6, r1, 0)
  p.load(8, r9, r1, 8)
  p.read(2, r1, r6, 'sock.__sk_common.skc_family')
  p.jumpIf(r1, '==', AF_INET, isTcp)
  p.jumpIf(r1, '==', AF_INET6, isTcp)
  p.leave()
  p.label(isTcp)
  p.read(2, r1, r6, port)
  for (const one of ports) p.jumpIf(r1, '==', one, isOurs)
  p.leave()
  p.label(isOurs)
  p.read(1, r1, r6, 'sock.__sk_common.skc_state')
  // A client that has sent its request may already have closed its half of the connection.
  p.jumpIf(r1, '==', TCP_ESTABLISHED, isOpen)
  p.jumpIf(r1, '==', TCP_CLOSE_WAIT, isOpen)
  p.leave()
  p.label(isOpen)
  const hasBytes = p.newLabel()
  // An error is a negative 32-bit number, and leaves the buffer's old contents in place.
  p.subtract(r9, 1)
  p.jumpIf(r9, '<', 0x7fff_ffff, hasBytes)
  p.leave()
  p.label(hasBytes)
  p.add(r9, 1)
  takeScratch(p, maps)
  // The key includes the ports: the address of a socket alone is soon reused by another connection.
  p.read(2, r8, r6, 'sock.__sk_common.skc_num')
  p.read(2, r1, r6, 'sock.__sk_common.skc_dport')
  p.add(r8, r1)
  p.multiply(r8, 1 << 22)
  p.multiply(r8, 1 << 22)
  p.add(r8, r6)
  p.store(8, frame, slots.key, r8)
}

/** Copies what the reader has just received, from the buffer of its system call. */
function readReceived(p: Program): void {
  const done = p.newLabel()
  p.store(4, r7, transferred.textBytes, 0)
  const call = enterCall(p, 'reads', done)
  if (call !== null) {
    p.read(8, r3, r8, call.buffer)
    readText(p, transferred, helpers.readUser, done)
    p.store(4, r7, transferred.textBytes, r9)
  }
  p.label(done)
}

/**
 * Passes unreadable data, and data that may be a POST or a piece of one: Go's server reads a single byte separately
 * while it still responds to the previous request. Other data only shows activity, so a sample at intervals is
 * enough.
 */
function leaveUnlessRelevant(p: Program, maps: Maps): void {
  const isPost = p.newLabel()
  jumpIfPost(p, transferred, [post, postRest], isPost)
  leaveIfRecent(p, maps, otherEveryNs)
  p.label(isPost)
}

const postRest = Buffer.from('OST ')

function endTransfer(p: Program, maps: Maps, type: number, ringFull: number): void {
  p.store(8, r7, transferred.connection, r6)
  p.copy(r7, transferred.family, 2, r6, 'sock.__sk_common.skc_family')
  p.copy(r7, transferred.localPort, 2, r6, 'sock.__sk_common.skc_num')
  p.copy(r7, transferred.peerPort, 2, r6, 'sock.__sk_common.skc_dport')
  const isIpv4 = p.newLabel()
  const done = p.newLabel()
  p.load(2, r1, r7, transferred.family)
  p.jumpIf(r1, '==', AF_INET, isIpv4)
  p.copy(r7, transferred.localAddress, 16, r6, 'sock.__sk_common.skc_v6_rcv_saddr')
  p.copy(r7, transferred.peerAddress, 16, r6, 'sock.__sk_common.skc_v6_daddr')
  p.jump(done)
  p.label(isIpv4)
  p.copy(r7, transferred.localAddress, 4, r6, 'sock.__sk_common.skc_rcv_saddr')
  p.copy(r7, transferred.peerAddress, 4, r6, 'sock.__sk_common.skc_daddr')
  p.label(done)
  p.call(helpers.currentTask)
  p.move(r9, r0)
  writeHeader(p, type, r9)
  send(p, maps, transferred.length, ringFull)
}

function swapBytes(port: number): number {
  return ((port & 0xff) << 8) | (port >>> 8)
}
