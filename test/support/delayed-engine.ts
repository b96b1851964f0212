import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

/** The host's engine as a client of a busy host sees it: events and inspects arrive late. */
export type DelayedEngine = {
  /** For `--docker.host`. */
  host: string
  stop: () => void
}

/** Passes requests on to the host's engine: inspects of containers after `inspectMs`, events after `eventsMs`. */
export async function delayedEngine(delays: { eventsMs: number; inspectMs: number }): Promise<DelayedEngine> {
  const path = join(tmpdir(), `tidewatch-test-delayed-${randomBytes(6).toString('hex')}.sock`)
  const server = createServer((asked, response) => {
    void (async () => {
      const { url = '', method = '' } = asked
      if (/\/containers\/[0-9a-f]{64}\/json$/.test(url)) await sleep(delays.inspectMs)
      pass({ method, path: url }, response, /\/events(\?|$)/.test(url) ? delays.eventsMs : 0)
    })()
  })
  server.listen(path)
  await once(server, 'listening')
  return {
    host: `unix://${path}`,
    stop() {
      server.close()
      server.closeAllConnections()
    },
  }
}

function pass(asked: { method: string; path: string }, response: ServerResponse, delayMs: number): void {
  const passed = request({ ...asked, socketPath: '/var/run/docker.sock' }, (answer) => {
    response.writeHead(answer.statusCode ?? 500, answer.headers).flushHeaders()
    answer.pipe(delayed(delayMs)).pipe(response)
  })
  passed.on('error', () => response.destroy())
  response.on('close', () => passed.destroy())
  passed.end()
}

function delayed(delayMs: number): Transform {
  return new Transform({
    transform(chunk, _encoding, done) {
      if (delayMs === 0) return done(null, chunk)
      setTimeout(() => this.push(chunk), delayMs)
      done()
    },
  })
}
