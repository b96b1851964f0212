import { closeSync } from 'node:fs'
import koffi from 'koffi'
import { libc, SystemCallError } from './libc.ts'
import { onReadable } from './poll.ts'

/**
 * Calls back on the event loop whenever a descriptor has an exceptional condition (POLLPRI), which neither Node nor
 * koffi can watch: the descriptor is added to an epoll instance of its own, which is polled. Stops by itself when the
 * object behind the descriptor is gone. Throws if the descriptor cannot be polled, as with any regular file.
 */
export function onPriority(fd: number, callback: () => void): { close(): void } {
  using opening = new DisposableStack()
  const epoll = opening.adopt(checked('epoll_create1', epoll_create1(EPOLL_CLOEXEC)), closeSync)
  const event = Buffer.alloc(eventBytes)
  event.writeUInt32LE(EPOLLPRI)
  checked('epoll_ctl', epoll_ctl(epoll, EPOLL_CTL_ADD, fd, event))
  opening.adopt(onReadable(epoll, onEvent), (polling) => polling.close())
  const resources = opening.move()

  function onEvent(): void {
    // Mostly empty: polling clears the event (kernel: psi_trigger_poll). Only the error of a file whose cgroup was
    // removed persists, and would call back forever.
    const found = epoll_wait(epoll, event, 1, 0)
    if (found === 1 && (event.readUInt32LE() & EPOLLERR) !== 0) close()
    else callback()
  }

  function close(): void {
    resources.dispose()
  }

  return { close }
}

const epoll_create1 = libc.func('int epoll_create1(int flags)') as (flags: number) => number
const epoll_ctl = libc.func('int epoll_ctl(int epfd, int op, int fd, void *event)') as (
  epfd: number,
  op: number,
  fd: number,
  event: Buffer,
) => number
const epoll_wait = libc.func('int epoll_wait(int epfd, void *events, int maxevents, int timeout)') as (
  epfd: number,
  events: Buffer,
  maxevents: number,
  timeout: number,
) => number

// include/uapi/linux/eventpoll.h
const EPOLL_CLOEXEC = 0o2000000
const EPOLL_CTL_ADD = 1
const EPOLLPRI = 0x002
const EPOLLERR = 0x008
// 12 bytes, packed, on x86 and 16 elsewhere; the events come first in both.
const eventBytes = 16

function checked(call: string, result: number): number {
  if (result < 0) throw new SystemCallError(call, koffi.errno())
  return result
}
