import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { readBtf } from '../../../../../../agent/linux/btf/btf.ts'
import type { SeenRequest } from '../../../../../../agent/sources/processes/api-requests.ts'
import { recordDecoder } from '../../../../../../agent/sources/processes/modes/ebpf/decode.ts'
import { findHierarchy } from '../../../../../../agent/ebpf/hierarchy.ts'
import {
  canSeeRequests,
  requestProgram,
} from '../../../../../../agent/sources/processes/modes/ebpf/request/program.ts'
import { startRuntime } from '../../../../../../agent/ebpf/loader.ts'
import { readStat } from '../../../../../../agent/sources/processes/table/procfs-process.ts'

const serial = test.serial
const btf = readBtf(readFileSync('/sys/kernel/btf/vmlinux'))

serial('a write to the socket that may be a POST is reported with its writer', async (t) => {
  const { write, reported } = await watchSocket(t)
  for (const text of ['POST /a HTTP/1.1\r\n', 'GET /b HTTP/1.1\r\n', 'P', 'x', `POST /${'c'.repeat(5_000)}`])
    await write(text)
  t.deepEqual(
    reported().map(({ text }) => text),
    ['POST /a HTTP/1.1\r\n', 'P', `POST /${'c'.repeat(250)}`],
  )
  const [first, ...others] = reported()
  t.is(first?.pid, process.pid)
  t.is(first?.startTicks, readStat('/proc', process.pid)?.startTicks)
  t.is(first?.uid, process.getuid?.())
  t.true(others.every(({ connection }) => connection === first?.connection))
})

serial('other sockets are ignored, even with a similar path', async (t) => {
  const path = socketPath()
  const { reported } = await watchSocket(t, [path])
  for (const other of [`${path}x`, path.slice(0, -1), `${path.slice(0, -1)}y`]) {
    const { write } = await listen(t, other)
    await write('POST /x HTTP/1.1\r\n')
  }
  t.deepEqual(reported(), [])
})

serial('answers of the engine are not requests', async (t) => {
  const { reported, answer } = await watchSocket(t)
  await answer('POST /x HTTP/1.1\r\n')
  t.deepEqual(reported(), [])
})

test('requests are not observed on a kernel without the tracepoint', (t) => {
  t.true(canSeeRequests(btf))
  t.false(
    canSeeRequests({ ...btf, has: (path) => path !== 'trace_event_raw_sk_data_ready' && btf.has(path) }),
  )
})

async function watchSocket(t: ExecutionContext, paths = [socketPath()]) {
  const runtime = startRuntime({
    btf,
    programs: [requestProgram(paths)],
    hierarchy: findHierarchy('/proc'),
    budget: 1_000,
    ringBytes: 65_536,
  })
  t.teardown(() => runtime.close())
  const requests: SeenRequest[] = []
  const ignore = () => undefined
  const decoder = recordDecoder({
    executed: ignore,
    forked: ignore,
    exited: ignore,
    idsChanged: ignore,
    oomVictim: ignore,
    requested: (request) => void requests.push(request),
  })
  function reported(): SeenRequest[] {
    while (runtime.drain((...record) => void t.true(decoder.decode(...record)), 100)) continue
    return requests
  }
  return { reported, ...(await listen(t, paths[0] ?? '')) }
}

/** A server at a path and a client, both in this process; data must be written before it can be read. */
async function listen(t: ExecutionContext, path: string) {
  const server = createServer().listen(path)
  await once(server, 'listening')
  t.teardown(() => server.close())
  const client = connect(path)
  const [accepted] = (await once(server, 'connection')) as [Socket]
  t.teardown(() => client.destroy())
  async function pass(from: Socket, to: Socket, text: string): Promise<void> {
    from.write(text)
    for (let length = 0; length < text.length;) length += ((await once(to, 'data')) as [Buffer])[0].length
  }
  return {
    write: (text: string) => pass(client, accepted, text),
    answer: (text: string) => pass(accepted, client, text),
  }
}

function socketPath(): string {
  return join(tmpdir(), `tidewatch-test-${randomBytes(6).toString('hex')}.sock`)
}
