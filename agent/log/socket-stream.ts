import { Writable } from 'node:stream'
import { openUnixDatagram, type UnixDatagram } from '../linux/unix-datagram.ts'

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
      datagram ??= openUnixDatagram(path)
      const refusal = datagram.send(chunk)
      if (refusal?.code === 'EAGAIN') onLost(1)
      else if (refusal !== null) otherwise(chunk.toString())
      done()
    },
    final(done) {
      datagram?.close()
      done()
    },
  })
}
