import type { Btf } from '../../../../../linux/btf/btf.ts'
import { frame, r0, r1, r2, r3, r6, r7, r8, r9 } from '../../../../../ebpf/assembler.ts'
import { send, takeScratch, writeHeader } from '../../../../../ebpf/blocks.ts'
import { spendBudget } from '../../../../../ebpf/budget.ts'
import { readCgroups } from '../../../../../ebpf/cgroups.ts'
import { helpers, type Program, slots } from '../../../../../ebpf/program.ts'
import type { TracepointProgram } from '../../../../../ebpf/loader.ts'
import { jumpIfPost, post } from '../../../../../ebpf/socket-text.ts'
import { recordTypes } from '../record-types.ts'
import { requested } from './record.ts'
import { readWritten } from './written.ts'

export const requestProgramName = 'tidewatch_api'

/** Whether this kernel can report requests: the tracepoint exists since Linux 6.3. */
export function canSeeRequests(btf: Btf): boolean {
  return ['trace_event_raw_sk_data_ready', 'unix_sock.addr', 'sk_buff_head.prev'].every(btf.has)
}

/**
 * Reports the process that writes a request to a Unix socket bound to one of these paths, with the beginning of the
 * written data. It runs in the context of the writer. Only possible POSTs are reported, so that data streams do not
 * fill the ring buffer.
 */
export function requestProgram(sockets: readonly string[]): TracepointProgram {
  return {
    name: requestProgramName,
    tracepoint: 'sk_data_ready',
    // A Unix socket is written to by a process, never by an interrupt.
    missesNothing: true,
    write(p, { maps, hierarchy, budget, ringFull }) {
      // sk_data_ready(sock): the socket that now has something to read.
      p.load(8, r6, r1, 0)
      leaveUnlessBound(p, sockets)
      takeScratch(p, maps)
      readWritten(p)
      leaveUnlessPost(p)
      p.store(8, r7, requested.connection, r6)
      p.store(4, r7, requested.flags, 0)
      p.call(helpers.currentTask)
      p.move(r6, r0)
      writeHeader(p, recordTypes.requested, r6)
      readCgroups(p, hierarchy)
      spendBudget(p, maps, { limit: budget, privileged: false })
      p.store(4, r7, requested.cgroupEnd, r9)
      p.load(8, r1, frame, slots.key)
      p.store(8, r7, requested.budgetKey, r1)
      send(p, maps, requested.length, ringFull)
    },
  }
}

const AF_UNIX = 1
// The connection state in every address family; the tracepoint also fires for a listening socket on connect.
const TCP_ESTABLISHED = 1

/** An accepted connection has the address of its listening socket. */
function leaveUnlessBound(p: Program, sockets: readonly string[]): void {
  const isUnix = p.newLabel()
  const isConnection = p.newLabel()
  const isNamed = p.newLabel()
  const isBound = p.newLabel()
  p.read(2, r1, r6, 'sock.__sk_common.skc_family')
  p.jumpIf(r1, '==', AF_UNIX, isUnix)
  p.leave()
  p.label(isUnix)
  p.read(1, r1, r6, 'sock.__sk_common.skc_state')
  p.jumpIf(r1, '==', TCP_ESTABLISHED, isConnection)
  p.leave()
  p.label(isConnection)
  p.read(8, r8, r6, 'unix_sock.addr')
  p.jumpIf(r8, '!=', 0, isNamed)
  p.leave()
  p.label(isNamed)
  p.addressOf(r3, r8, p.btf.offsetOf('unix_address.name') + p.btf.offsetOf('sockaddr_un.sun_path'))
  p.move(r2, pathBytes)
  p.move(r1, frame)
  p.add(r1, slots.path)
  p.call(helpers.readKernelString)
  for (const socket of sockets) jumpIfPath(p, socket, isBound)
  p.leave()
  p.label(isBound)
}

// sun_path of linux/un.h has 108.
const pathBytes = 112

/** r0 is the length of the path that was read, with its NUL: that alone rules out most other paths. */
function jumpIfPath(p: Program, path: string, to: string): void {
  const isOther = p.newLabel()
  const bytes = Buffer.from(path)
  p.jumpIf(r0, '!=', bytes.length + 1, isOther)
  for (const [index, byte] of bytes.entries()) {
    p.load(1, r1, frame, slots.path + index)
    p.jumpIf(r1, '!=', byte, isOther)
  }
  p.jump(to)
  p.label(isOther)
}

/** Passes data that could not be read, and a partial first line that may continue as a POST. */
function leaveUnlessPost(p: Program): void {
  const mayBePost = p.newLabel()
  jumpIfPost(p, requested, [post], mayBePost)
  p.leave()
  p.label(mayBePost)
}
