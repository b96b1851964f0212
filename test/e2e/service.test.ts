import test from 'ava'
import { removeState, startDaemon } from '../support/daemon.ts'
import { notifySocket } from '../support/notify-socket.ts'
import { until } from '../support/until.ts'

// A daemon with a fake of systemd's notification socket. test/host tests with the real systemd on a booted host.

test('the daemon notifies the service manager of readiness, heartbeats, reloads and its stop', async (t) => {
  const { address, received, lines } = await notifySocket(t)
  const daemon = await startDaemon({ env: { NOTIFY_SOCKET: address, WATCHDOG_USEC: '400000' } })
  t.teardown(() => removeState(daemon))
  t.teardown(() => daemon.stop('SIGKILL'))
  const count = (line: string) => lines().filter((one) => one === line).length

  await until(() => count('READY=1') === 1)
  const heartbeats = count('WATCHDOG=1')
  await until(() => count('WATCHDOG=1') >= heartbeats + 3)
  t.true(lines().some((line) => /^STATUS=\d+ running containers?; .*findings? since start/.test(line)))

  daemon.process.kill('SIGHUP')
  await until(() => count('RELOADING=1') === 1 && count('READY=1') === 2)
  t.true(lines().some((line) => /^MONOTONIC_USEC=\d+$/.test(line)))

  daemon.process.kill('SIGSTOP')
  await until(async () => {
    const before = count('WATCHDOG=1')
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    return count('WATCHDOG=1') === before
  })
  daemon.process.kill('SIGCONT')
  const stopped = count('WATCHDOG=1')
  await until(() => count('WATCHDOG=1') > stopped)

  t.is(await daemon.stop(), 0)
  await until(() => count('STOPPING=1') === 1)
  t.deepEqual([...new Set(received().map(({ pid }) => pid))], [daemon.process.pid])
})
