import { Writable } from 'node:stream'
import { errorCode } from '../errors.ts'
import { openUnixDatagram, type UnixDatagram } from '../kernel/unix-datagram.ts'

export type SocketStreamOptions = {
  path: string
  /** Takes what the socket does not: nobody listens there, or it is too long. */
  otherwise: (text: string) => void
  /** Told of lines that were dropped because nobody reads them fast enough. */
  onLost: (count: number) => void
}

/** A stream whose every write is one message to a service's socket; never fails and never waits. */
export function socketStream({ path, otherwise, onLost }: SocketStreamOptions): Writable {
  let datagram: UnixDatagram | undefined
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      try {
        datagram ??= openUnixDatagram(path)
        datagram.send(chunk)
      } catch (error) {
        if (errorCode(error) === 'EAGAIN') onLost(1)
        else otherwise(chunk.toString())
      }
      done()
    },
    final(done) {
      datagram?.close()
      done()
    },
  })
}
