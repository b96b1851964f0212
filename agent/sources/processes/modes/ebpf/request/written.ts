import { r1, r2, r3, r6, r7, r8, r9 } from '../../../../../ebpf/assembler.ts'
import { requested } from '../../../../../ebpf/layout.ts'
import { helpers, type Program } from '../../../../../ebpf/program.ts'
import { enterCall, readText } from '../../../../../ebpf/socket-text.ts'

/**
 * Puts the beginning of what was just written to the socket in r6 into the record, or nothing where it cannot be had:
 * the reader was faster than we, and it was written by another call than usual. Uses r8 and r9.
 */
export function readWritten(p: Program): void {
  const done = p.newLabel()
  const isTaken = p.newLabel()
  p.store(4, r7, requested.textBytes, 0)
  readFromQueue(p, done, isTaken)
  p.label(isTaken)
  readFromWriter(p, done)
  p.label(done)
}

/** The newest write that waits in the socket. */
function readFromQueue(p: Program, done: string, isTaken: string): void {
  const newest = p.btf.offsetOf('sock.sk_receive_queue') + p.btf.offsetOf('sk_buff_head.prev')
  const hasBytes = p.newLabel()
  p.read(8, r8, r6, newest)
  // An empty queue's newest is the queue itself.
  p.addressOf(r2, r6, 'sock.sk_receive_queue')
  p.jumpIf(r8, '==', r2, isTaken)
  // The bytes that are not in pages (skb_headlen of linux/skbuff.h).
  p.read(4, r9, r8, 'sk_buff.len')
  p.read(4, r1, r8, 'sk_buff.data_len')
  p.subtract(r9, r1)
  p.jumpIf(r9, '!=', 0, hasBytes)
  p.read(8, r1, r6, newest)
  p.jumpIf(r1, '!=', r8, isTaken)
  // Pages of a file or a pipe, as images and archives are sent (splice).
  p.leave()
  p.label(hasBytes)
  p.follow(r3, r8, 'sk_buff.data')
  readText(p, requested, helpers.readKernel, isTaken)
  // Was it taken meanwhile, these may be somebody else's bytes.
  p.read(8, r1, r6, newest)
  p.jumpIf(r1, '!=', r8, isTaken)
  p.store(4, r7, requested.textBytes, r9)
  p.jump(done)
}

/** What the reader has taken already still stands in the writer's memory, where its system call says. */
function readFromWriter(p: Program, done: string): void {
  const call = enterCall(p, 'writes', done)
  if (call === null) return
  p.read(8, r9, r8, call.length)
  p.jumpIf(r9, '==', 0, done)
  p.read(8, r3, r8, call.buffer)
  readText(p, requested, helpers.readUser, done)
  p.store(4, r7, requested.textBytes, r9)
}
