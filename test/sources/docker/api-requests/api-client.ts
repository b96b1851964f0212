/**
 * A client of the Docker API without the docker CLI, to run as a separate program: creates an exec, starts it, or
 * both, and prints its id.
 *
 *     node api-client.ts SOCKET exec CONTAINER ARGV…
 *     node api-client.ts SOCKET create CONTAINER ARGV…
 *     node api-client.ts SOCKET start EXEC-ID [BODY]
 *     node api-client.ts SOCKET split EXEC-ID         starts it with the request line in two pieces
 *
 * SOCKET is a path, or `HOST:PORT`. With USER_IDS=UID:GID in its environment it switches to that user first: a user
 * who may not read this program, or node itself, could not start it.
 */
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'

const [socket = '', what, subject = '', ...rest] = process.argv.slice(2)
const [host, port] = socket.split(':')
const address = port === undefined ? { socketPath: socket } : { host, port }
const [userId, groupId] = (process.env['USER_IDS'] ?? '').split(':').map(Number)
if (userId && groupId !== undefined) becomeUser(userId, groupId)

if (what === 'start') await start(subject, rest[0])
else if (what === 'split') await startInPieces(subject)
else {
  const id = await create(subject, rest)
  if (what === 'exec') await start(id)
  process.stdout.write(id)
}

function becomeUser(uid: number, gid: number): void {
  process.setgroups?.([])
  process.setgid?.(gid)
  process.setuid?.(uid)
}

async function create(container: string, argv: readonly string[]): Promise<string> {
  const answer = await post(`/containers/${container}/exec`, JSON.stringify({ Cmd: argv }))
  return (JSON.parse(answer) as { Id: string }).Id
}

async function start(id: string, body = '{"Detach":true}'): Promise<void> {
  await post(`/exec/${id}/start`, body)
}

async function startInPieces(id: string): Promise<void> {
  const body = '{"Detach":true}'
  const engine = connect(socket)
  engine.write(`POST /exec/${id.slice(0, 20)}`)
  await sleep(50)
  engine.write(`${id.slice(20)}/start HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n`)
  engine.write(`Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`)
  await text(engine)
}

async function post(path: string, body: string): Promise<string> {
  const headers = { 'content-type': 'application/json', 'content-length': body.length }
  const sent = request({ ...address, method: 'POST', path, headers })
  sent.end(body)
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return await text(response)
}
