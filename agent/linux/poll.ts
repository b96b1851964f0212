import koffi from 'koffi'

export type Polling = {
  /** Stops calling back until `resume`; data that arrives meanwhile leads to one call then. */
  pause(): void
  resume(): void
  close(): void
}

// Node keeps no reference to a polled descriptor's handle: if it were garbage-collected, events would silently stop.
const held = new Set<ReturnType<typeof koffi.node.poll>>()

/**
 * Calls back on the event loop whenever a descriptor is readable; Node itself watches sockets and pipes only. The
 * descriptor must be non-blocking and stays the caller's: close the polling first, then the descriptor. The callback
 * must read everything available (also an error pending on the descriptor) or close, because it is called until
 * nothing is left.
 */
export function onReadable(fd: number, callback: () => void): Polling {
  const handle = koffi.node.poll(fd, { readable: true }, onPoll as () => void)
  held.add(handle)

  // koffi's types omit the status, which is the first argument.
  function onPoll(status: number): void {
    try {
      callback()
    } catch (error) {
      // Thrown here, it would surface in an unrelated callback.
      setImmediate(() => {
        throw error
      })
    }
    // libuv stops watching a descriptor that reports POLLERR, such as a netlink socket that overflowed.
    if (status < 0 && held.has(handle)) handle.start({ readable: true }, onPoll as () => void)
  }

  return {
    pause() {
      if (held.has(handle)) handle.stop()
    },
    resume() {
      if (held.has(handle)) handle.start({ readable: true }, onPoll as () => void)
    },
    close() {
      if (held.delete(handle)) handle.close()
    },
  }
}
