import { Writable } from 'node:stream'
import { openUnixDatagram, type UnixDatagram } from '../linux/unix-datagram.ts'

export type SocketStreamOptions = {
  path: string
  /** Called with a message that the socket rejects: nothing listens there, or the message is too long. */
  otherwise: (text: string) => void
  /** Called with the number of lines dropped because the reader is too slow. */
  onLost: (count: number) => void
}

/** A stream that sends each write as one message to a service's socket; it never fails and never blocks. */
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
