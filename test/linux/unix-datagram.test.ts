import test from 'ava'
import { openUnixDatagram, socketAddress } from '../../agent/linux/unix-datagram.ts'
import { notifySocket } from '../support/notify-socket.ts'
import { until } from '../support/until.ts'

for (const kind of ['path', 'abstract'] as const) {
  test(`a message arrives complete at a socket address (${kind}), from this process`, async (t) => {
    const { address, received } = await notifySocket(t, kind)
    const socket = openUnixDatagram(address)
    t.teardown(() => socket.close())
    t.is(socket.send('READY=1\nSTATUS=ünïcode'), null)
    await until(() => received().length > 0)
    t.deepEqual(received(), [{ pid: process.pid, text: 'READY=1\nSTATUS=ünïcode' }])
  })
}

test('an address without a receiver returns an error without blocking', (t) => {
  const socket = openUnixDatagram('/nonexistent/notify')
  t.teardown(() => socket.close())
  t.is(socket.send('READY=1')?.code, 'ENOENT')
})

test('a path address ends with a null byte, an abstract one starts with it and has no terminator', (t) => {
  t.deepEqual(socketAddress('/run/n'), Buffer.from('\x01\0/run/n\0'))
  t.deepEqual(socketAddress('@/run/n'), Buffer.from('\x01\0\0/run/n'))
})

test('an invalid Unix socket address is rejected by name', (t) => {
  t.throws(() => socketAddress('vsock:2:1234'), { message: /not a Unix socket address: vsock:2:1234/ })
  t.throws(() => socketAddress(`/${'x'.repeat(107)}`), { message: /too long/ })
  t.notThrows(() => socketAddress(`/${'x'.repeat(106)}`))
})
