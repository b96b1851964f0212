import { r1, r2, r3, r6, r7, r8, r9 } from '../../../../../ebpf/assembler.ts'
import { requested } from './record.ts'
import { helpers, type Program } from '../../../../../ebpf/program.ts'
import { enterCall, readText } from '../../../../../ebpf/socket-text.ts'

/**
 * Copies the beginning of the data just written to the socket in r6 into the record. Copies nothing if the reader has
 * already taken the data and it was not written by one of the usual system calls. Uses r8 and r9.
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

/** Reads the newest write in the socket's receive queue. */
function readFromQueue(p: Program, done: string, isTaken: string): void {
  const newest = p.btf.offsetOf('sock.sk_receive_queue') + p.btf.offsetOf('sk_buff_head.prev')
  const hasBytes = p.newLabel()
  p.read(8, r8, r6, newest)
  // In an empty queue, `prev` points to the queue itself.
  p.addressOf(r2, r6, 'sock.sk_receive_queue')
  p.jumpIf(r8, '==', r2, isTaken)
  // The bytes that are not in pages (skb_headlen of linux/skbuff.h).
  p.read(4, r9, r8, 'sk_buff.len')
  p.read(4, r1, r8, 'sk_buff.data_len')
  p.subtract(r9, r1)
  p.jumpIf(r9, '!=', 0, hasBytes)
  p.read(8, r1, r6, newest)
  p.jumpIf(r1, '!=', r8, isTaken)
  // The data is in pages of a file or pipe, as for images and archives (splice).
  p.leave()
  p.label(hasBytes)
  p.follow(r3, r8, 'sk_buff.data')
  readText(p, requested, helpers.readKernel, isTaken)
  // If the reader has taken the data meanwhile, these bytes may belong to another write.
  p.read(8, r1, r6, newest)
  p.jumpIf(r1, '!=', r8, isTaken)
  p.store(4, r7, requested.textBytes, r9)
  p.jump(done)
}

/** Data that the reader has already taken is still in the writer's memory, at the address its system call was given. */
function readFromWriter(p: Program, done: string): void {
  const call = enterCall(p, 'writes', done)
  if (call === null) return
  p.read(8, r9, r8, call.length)
  p.jumpIf(r9, '==', 0, done)
  p.read(8, r3, r8, call.buffer)
  readText(p, requested, helpers.readUser, done)
  p.store(4, r7, requested.textBytes, r9)
}
