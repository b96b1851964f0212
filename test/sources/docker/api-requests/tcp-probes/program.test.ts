import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { kernelBtf } from '../../../../../agent/linux/btf/kernel-btf.ts'
import { findHierarchy } from '../../../../../agent/ebpf/hierarchy.ts'
import { startRuntime } from '../../../../../agent/ebpf/loader.ts'
import {
  supportsTcpProbes,
  receivedProgram,
  sentProgram,
} from '../../../../../agent/sources/docker/api-requests/tcp-probes/program.ts'
import {
  decodeTransfer,
  type Transfer,
} from '../../../../../agent/sources/docker/api-requests/tcp-probes/record.ts'
import { until } from '../../../../support/until.ts'

const serial = test.serial

for (const [host, to, name] of [
  ['127.0.0.1', '127.0.0.1', '127.0.0.1'],
  ['::', '127.0.0.1', '127.0.0.1'],
  ['::1', '::1', '[::1]'],
] as const)
  serial(`data read at ${host} is reported, with both ends of a connection to ${to}`, async (t) => {
    const { write, reported, port } = await watchPort(t, host, to)
    await write('POST /a HTTP/1.1\r\n')
    const [received] = reported('received')
    const [sent] = reported('sent')
    t.like(received, { pid: process.pid, local: `${name}:${port}`, text: 'POST /a HTTP/1.1\r\n' })
    t.like(sent, { pid: process.pid, local: received?.peer ?? '', peer: `${name}:${port}`, text: '' })
    t.not(received?.connection, sent?.connection)
  })

serial('every POST is reported, and other data as activity', async (t) => {
  const { write, reported } = await watchPort(t)
  const long = `POST /${'c'.repeat(5_000)}`
  for (const text of ['GET /a HTTP/1.1\r\n', 'P', 'OST /b', 'x', 'POST /c', '\u0017\u0003', long])
    await write(text)
  const texts = reported('received').map(({ text }) => text)
  t.is(texts[0], 'GET /a HTTP/1.1\r\n')
  t.deepEqual(
    texts.filter((text) => /^P|^OST/.test(text)),
    ['P', 'OST /b', 'POST /c', long.slice(0, 256)],
  )
  // Other data is reported once in 20 milliseconds, and how long the writes took is unknown.
  t.true(texts.length <= 7)
  await sleep(50)
  await write('later')
  t.is(reported('received').at(-1)?.text, 'later')
})

serial('a read without data is not reported, whatever its buffer contains', async (t) => {
  const { write, reported } = await watchPort(t)
  await write('POST /once')
  await sleep(50)
  t.is(reported('received').length, 1)
})

serial('another port and a response are not reported', async (t) => {
  const { answer, reported } = await watchPort(t)
  const other = await watchPort(t)
  await other.write('POST /x')
  await answer('POST /y')
  t.deepEqual(reported('received'), [])
})

test('a kernel without the tracepoints does not support the probes', (t) => {
  const btf = kernelBtf()
  t.true(supportsTcpProbes(btf))
  t.false(
    supportsTcpProbes({ ...btf, has: (path) => path !== 'trace_event_raw_sock_msg_length' && btf.has(path) }),
  )
})

test('an invalid record is null', (t) => {
  const bytes = Buffer.alloc(400, 0xff)
  t.is(decodeTransfer(bytes, 0, 400), null)
  t.is(decodeTransfer(Buffer.alloc(8), 0, 8), null)
})

async function watchPort(t: ExecutionContext, host = '127.0.0.1', to = '127.0.0.1') {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const runtime = startRuntime({
    btf: kernelBtf(),
    programs: [receivedProgram([port]), sentProgram([port])],
    hierarchy: findHierarchy('/proc'),
    budget: 0,
    ringBytes: 1 << 16,
  })
  const accepted = once(server, 'connection')
  const client = connect(port, to)
  const [served] = (await accepted) as [ReturnType<typeof connect>]
  t.teardown(() => {
    runtime.close()
    client.destroy()
    served.destroy()
    server.close()
  })
  let bytes = 0
  served.on('data', (chunk: Buffer) => (bytes += chunk.length))
  client.resume()
  const transfers: Transfer[] = []
  return {
    port,
    async write(text: string): Promise<void> {
      const expected = bytes + text.length
      client.write(text)
      await until(() => bytes >= expected)
    },
    async answer(text: string): Promise<void> {
      const arrived = once(client, 'data')
      served.write(text)
      await arrived
    },
    reported(way: Transfer['way']): Transfer[] {
      runtime.drain((record, offset, length) => {
        const transfer = decodeTransfer(record, offset, length)
        if (transfer !== null) transfers.push(transfer)
      }, 1_000)
      return transfers.filter((one) => one.way === way)
    },
  }
}
