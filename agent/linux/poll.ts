import koffi from 'koffi'

export type Polling = {
  /** No calls until `resume`: what comes meanwhile is then told in one. */
  pause(): void
  resume(): void
  close(): void
}

// Node keeps no reference to a polled descriptor's handle: once it is collected, events silently stop.
const held = new Set<ReturnType<typeof koffi.node.poll>>()

/**
 * Calls back on the event loop whenever a descriptor has something to read, because Node itself watches
 * sockets and pipes only. The descriptor must be non-blocking and stays the caller's: close the polling
 * first, then the descriptor. The callback must read what there is (an error that is pending on the
 * descriptor too) or close, for it is called again until nothing is left.
 */
export function onReadable(fd: number, callback: () => void): Polling {
  const handle = koffi.node.poll(fd, { readable: true }, onPoll as () => void)
  held.add(handle)

  // koffi's types leave out the status, which comes first.
  function onPoll(status: number): void {
    try {
      callback()
    } catch (error) {
      // Thrown here it would surface inside whatever callback runs next.
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
