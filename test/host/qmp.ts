import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

// The control protocol of QEMU (https://www.qemu.org/docs/master/interop/qmp-spec.html).

export type Qmp = { execute: <T = unknown>(command: string, args?: object) => Promise<T> }

type Reply = { return?: unknown; error?: { desc: string }; event?: string }

/** Listens on a Unix socket for a single client. QEMU connects to us, so no retries are needed. */
export async function listen(path: string): Promise<{ connected: Promise<Socket> }> {
  const server = createServer().listen(path)
  await once(server, 'listening')
  const connected = once(server, 'connection').then(([socket]) => {
    server.close()
    return socket as Socket
  })
  server.unref()
  return { connected }
}

/** Speaks QMP: one command at a time, events are ignored. */
export async function qmpOver(socket: Socket): Promise<Qmp> {
  const waiting: { resolve: (value: unknown) => void; reject: (error: Error) => void }[] = []
  socket.on('error', () => {})
  socket.once('close', () => {
    for (const { reject } of waiting.splice(0)) reject(new Error('QEMU closed the control connection'))
  })
  const lines = createInterface(socket)
  // readline re-emits the errors of the socket, which closes when QEMU exits.
  lines.on('error', () => {})
  lines.on('line', (line) => {
    const reply = JSON.parse(line) as Reply
    if (!('return' in reply) && reply.error === undefined) return
    const request = waiting.shift()
    if (reply.error === undefined) request?.resolve(reply.return)
    else request?.reject(new Error(`QEMU: ${reply.error.desc}`))
  })
  const execute = <T>(command: string, args: object = {}) =>
    new Promise<T>((resolve, reject) => {
      if (socket.destroyed) reject(new Error('QEMU has exited'))
      waiting.push({ resolve: resolve as (value: unknown) => void, reject })
      socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`)
    })
  await execute('qmp_capabilities')
  return { execute }
}
