import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Accepts JSON POSTs like a receiver, and reports each with the time its head arrived (epoch milliseconds). */
export async function receivePosts(
  onPost: (body: unknown, at: number) => void,
): Promise<{ url: string; close: () => void }> {
  const server = createServer((request, response) => {
    const at = performance.timeOrigin + performance.now()
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      onPost(JSON.parse(Buffer.concat(chunks).toString()), at)
      response.end('{}')
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
