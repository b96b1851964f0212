import { symlinkSync } from 'node:fs'
import test from 'ava'
import { messageOf, reloading, serviceManager } from '../../agent/service/manager.ts'
import { notifySocket } from '../support/notify-socket.ts'
import { until } from '../support/until.ts'

test('outside systemd no notice is sent and there is no watchdog', (t) => {
  const { notify, watchdogMs } = serviceManager({ PATH: '/bin' })
  t.notThrows(() => notify({ READY: '1' }))
  t.is(watchdogMs, null)
})

test('the variables for this process are removed from the environment', async (t) => {
  const { address } = await notifySocket(t)
  const environment = {
    PATH: '/bin',
    NOTIFY_SOCKET: address,
    WATCHDOG_USEC: '30000000',
    WATCHDOG_PID: '7',
  }
  t.is(serviceManager(environment, 7).watchdogMs, 30_000)
  t.deepEqual(environment as object, { PATH: '/bin' })
})

const watchdogs: [what: string, environment: Record<string, string>, watchdogMs: number | null][] = [
  ['without a watchdog', {}, null],
  ['with one for any process', { WATCHDOG_USEC: '1500' }, 1.5],
  ['with one for this process', { WATCHDOG_USEC: '1500', WATCHDOG_PID: '7' }, 1.5],
  ['with one for another process', { WATCHDOG_USEC: '1500', WATCHDOG_PID: '8' }, null],
  ['with an invalid one', { WATCHDOG_USEC: 'soon' }, null],
]

for (const [what, environment, watchdogMs] of watchdogs) {
  test(`a service manager ${what} has a watchdog timeout of ${watchdogMs} ms`, async (t) => {
    const { address } = await notifySocket(t)
    t.is(serviceManager({ NOTIFY_SOCKET: address, ...environment }, 7).watchdogMs, watchdogMs)
  })
}

test('a notice that cannot be sent is merged into the next one', async (t) => {
  const { address, received } = await notifySocket(t)
  const { notify } = serviceManager({ NOTIFY_SOCKET: `${address}-later` })
  notify({ READY: '1', STATUS: 'one' })
  notify({ STATUS: 'two' })
  t.deepEqual(received(), [])
  symlinkSync(address, `${address}-later`)
  notify({ WATCHDOG: '1' })
  notify({ STATUS: 'three' })
  await until(() => received().length === 2)
  t.deepEqual(
    received().map(({ text }) => text),
    ['READY=1\nSTATUS=two\nWATCHDOG=1', 'STATUS=three'],
  )
})

test('a status is always one line', (t) => {
  t.is(messageOf({ STATUS: 'a\nMAINPID=1' }), 'STATUS=a MAINPID=1')
})

test('a reload notice has the time that systemd compares', (t) => {
  t.deepEqual(reloading(123_456_789n), { RELOADING: '1', MONOTONIC_USEC: '123456' })
})
