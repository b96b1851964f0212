import { closeSync } from 'node:fs'
import { constants } from 'node:os'
import koffi from 'koffi'
import { libc, SystemCallError } from './libc.ts'
import { addressOf } from './memory.ts'

/** Events of the proc connector (linux/cn_proc.h). `pid` is the process id; each thread has its own uids and gids. */
export type ProcEvent =
  | { what: 'fork'; parentPid: number; pid: number }
  | { what: 'exec'; pid: number }
  | IdsEvent
  | { what: 'exit'; pid: number; code: number }

export type IdsEvent = { what: 'uid' | 'gid'; pid: number; thread: number; real: number; effective: number }

/** An event with its per-processor sequence number; `event` is null for kinds that are not used here. */
export type SequencedEvent = {
  processor: number
  sequence: number
  monotonicNs: bigint
  event: ProcEvent | null
}

export type ProcEventSocket = {
  /** Readable when events are available. */
  fd: number
  /** Receives one message; null if none is left, undefined for one that is malformed or not from the kernel. */
  receive(): SequencedEvent | null | undefined
  /** How many messages the kernel dropped because the socket was full. */
  dropped(): number
  close(): void
}

/** Listens to the proc connector; with `idsOnly` the kernel filters out all but changes of uid and gid. */
export function openProcEvents({ idsOnly }: { idsOnly: boolean }): ProcEventSocket {
  const fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR)
  if (fd < 0) throw new SystemCallError('socket')
  try {
    setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, uint32(receiveBytes))
    // Overflows are counted by `dropped`; as errors they would interrupt reading.
    setOption(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, uint32(1))
    if (idsOnly) attachFilter(fd)
    if (bind(fd, address(), 12) !== 0) throw new SystemCallError('bind')
    const message = listenMessage()
    if (send(fd, message, message.length, 0) < 0) throw new SystemCallError('send')
  } catch (error) {
    closeSync(fd)
    throw error
  }

  const bytes = Buffer.alloc(4_096)
  const sender = Buffer.alloc(12)
  const senderLength = Buffer.alloc(4)
  const meminfo = Buffer.alloc(36)
  const meminfoLength = uint32(meminfo.length)
  return {
    fd,
    receive() {
      senderLength.writeUInt32LE(sender.length)
      const length = recvfrom(fd, bytes, bytes.length, 0, sender, senderLength)
      if (length < 0) {
        // This runs hundreds of times a second: creating an error object each time would cost more than everything
        // else.
        const errno = koffi.errno()
        if (errno === EAGAIN || errno === EINTR) return null
        throw new SystemCallError('recvfrom', errno)
      }
      const isKernel = sender.readUInt32LE(4) === 0
      return isKernel ? parseProcEvent(bytes.subarray(0, length)) : undefined
    },
    dropped() {
      if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, meminfo, meminfoLength) !== 0)
        throw new SystemCallError('getsockopt')
      return meminfo.readUInt32LE(SK_MEMINFO_DROPS * 4)
    },
    close: () => closeSync(fd),
  }
}

/** Parses a netlink message that contains a `cn_msg` with a `proc_event`. */
export function parseProcEvent(bytes: Buffer): SequencedEvent | undefined {
  const data = 52
  if (bytes.length < data) return undefined
  if (bytes.readUInt32LE(16) !== CN_IDX_PROC || bytes.readUInt32LE(20) !== CN_VAL_PROC) return undefined
  const sequence = bytes.readUInt32LE(24)
  const what = bytes.readUInt32LE(36)
  const processor = bytes.readUInt32LE(40)
  const monotonicNs = bytes.readBigUInt64LE(44)
  const read = parsers.get(what)
  if (read === undefined) return { processor, sequence, monotonicNs, event: null }
  const body = bytes.subarray(data)
  return body.length < 16 ? undefined : { processor, sequence, monotonicNs, event: read(body) }
}

const PROC_EVENT_UID = 0x4
const PROC_EVENT_GID = 0x40

const parsers: ReadonlyMap<number, (body: Buffer) => ProcEvent | null> = new Map([
  [0x1, readFork],
  [0x2, (body) => ({ what: 'exec', pid: body.readUInt32LE(4) })],
  [PROC_EVENT_UID, (body) => readIds('uid', body)],
  [PROC_EVENT_GID, (body) => readIds('gid', body)],
  [0x8000_0000, readExit],
])

function readFork(body: Buffer): ProcEvent | null {
  const [child, childProcess] = [body.readUInt32LE(8), body.readUInt32LE(12)]
  return child === childProcess ? { what: 'fork', parentPid: body.readUInt32LE(4), pid: child } : null
}

function readIds(what: 'uid' | 'gid', body: Buffer): ProcEvent {
  const [thread, pid] = [body.readUInt32LE(0), body.readUInt32LE(4)]
  return { what, pid, thread, real: body.readUInt32LE(8), effective: body.readUInt32LE(12) }
}

function readExit(body: Buffer): ProcEvent | null {
  const [thread, process] = [body.readUInt32LE(0), body.readUInt32LE(4)]
  return thread === process ? { what: 'exit', pid: process, code: body.readUInt32LE(8) } : null
}

const { EAGAIN, EINTR } = constants.errno

const AF_NETLINK = 16
const SOCK_DGRAM = 2
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
const NETLINK_CONNECTOR = 11
const SOL_SOCKET = 1
const SO_ATTACH_FILTER = 26
const SO_RCVBUFFORCE = 33
const SO_MEMINFO = 55
const SK_MEMINFO_DROPS = 8
const SOL_NETLINK = 270
const NETLINK_NO_ENOBUFS = 5
const CN_IDX_PROC = 1
const CN_VAL_PROC = 1

// About 30,000 events, used only while we are not reading.
const receiveBytes = 8 << 20

type Socket = (domain: number, type: number, protocol: number) => number
type Bind = (fd: number, address: Buffer, length: number) => number
type Send = (fd: number, bytes: Buffer, length: number, flags: number) => number
type Recvfrom = (
  fd: number,
  bytes: Buffer,
  length: number,
  flags: number,
  from: Buffer,
  fromLength: Buffer,
) => number
type Option = (fd: number, level: number, option: number, value: Buffer, length: number) => number
type OptionOf = (fd: number, level: number, option: number, value: Buffer, length: Buffer) => number

const socket = libc.func('int socket(int domain, int type, int protocol)') as Socket
const bind = libc.func('int bind(int fd, void *address, uint length)') as Bind
const send = libc.func('long send(int fd, void *bytes, size_t length, int flags)') as Send
const recvfrom = libc.func(
  'long recvfrom(int fd, void *bytes, size_t length, int flags, void *from, void *fromLength)',
) as Recvfrom
const setsockopt = libc.func(
  'int setsockopt(int fd, int level, int option, void *value, uint length)',
) as Option
const getsockopt = libc.func(
  'int getsockopt(int fd, int level, int option, void *value, void *length)',
) as OptionOf

function setOption(fd: number, level: number, option: number, value: Buffer): void {
  if (setsockopt(fd, level, option, value, value.length) !== 0) throw new SystemCallError('setsockopt')
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function address(): Buffer {
  const bytes = Buffer.alloc(12)
  bytes.writeUInt16LE(AF_NETLINK, 0)
  bytes.writeUInt32LE(CN_IDX_PROC, 8)
  return bytes
}

/** nlmsghdr (NLMSG_DONE), cn_msg, and the operation PROC_CN_MCAST_LISTEN. */
function listenMessage(): Buffer {
  const bytes = Buffer.alloc(40)
  bytes.writeUInt32LE(bytes.length, 0)
  bytes.writeUInt16LE(3, 4)
  bytes.writeUInt32LE(CN_IDX_PROC, 16)
  bytes.writeUInt32LE(CN_VAL_PROC, 20)
  bytes.writeUInt16LE(4, 32)
  bytes.writeUInt32LE(1, 36)
  return bytes
}

/**
 * Classic BPF on the message's `what`, which it loads in network byte order: pass uid and gid events, drop the rest.
 */
function attachFilter(fd: number): void {
  const instructions: [code: number, ifTrue: number, ifFalse: number, value: number][] = [
    [0x20, 0, 0, 36],
    [0x15, 1, 0, inNetworkOrder(PROC_EVENT_UID)],
    [0x15, 0, 1, inNetworkOrder(PROC_EVENT_GID)],
    [0x06, 0, 0, 0xffff],
    [0x06, 0, 0, 0],
  ]
  const code = Buffer.alloc(instructions.length * 8)
  for (const [index, [operation, ifTrue, ifFalse, value]] of instructions.entries()) {
    code.writeUInt16LE(operation, index * 8)
    code.writeUInt8(ifTrue, index * 8 + 2)
    code.writeUInt8(ifFalse, index * 8 + 3)
    code.writeUInt32LE(value, index * 8 + 4)
  }
  const program = Buffer.alloc(16)
  program.writeUInt16LE(instructions.length, 0)
  program.writeBigUInt64LE(addressOf(code), 8)
  setOption(fd, SOL_SOCKET, SO_ATTACH_FILTER, program)
}

function inNetworkOrder(value: number): number {
  return uint32(value).swap32().readUInt32LE(0)
}
