import { randomBytes } from 'node:crypto'
import test from 'ava'
import { startAlertmanager } from '../support/alertmanager.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { startDaemonFor } from '../support/daemon.ts'
import { removeContainers } from '../support/docker.ts'
import { docker } from '../support/processes.ts'
import { startHttpReceiver } from '../support/receiver.ts'
import { until } from '../support/until.ts'

type Notification = { alerts: { status: string; labels: Record<string, string> }[] }

test('a host whose clock is 6 minutes behind notifies a condition and its end, and reports its clock once', async (t) => {
  const hook = await startHttpReceiver(t)
  const alertmanager = await startAlertmanager({ webhook: `${hook.url}/` })
  t.teardown(alertmanager.remove)
  const daemon = await startDaemonFor(t, {
    config: { alertmanagers: [{ url: alertmanager.url, min_severity: 'info' }] },
    // As faketime(1) does; $LIB is the directory of the architecture's libraries (ld.so(8)).
    env: {
      LD_PRELOAD: '/usr/$LIB/faketime/libfaketime.so.1',
      FAKETIME: '-6m',
      DONT_FAKE_MONOTONIC: '1',
    },
  })
  const name = `tidewatch-test-clock-${randomBytes(4).toString('hex')}`
  t.teardown(() => removeContainers(name))
  await docker('run', '--detach', '--network=none', '--name', name, await busyboxImage(), 'sleep', '600')
  const notified = () =>
    hook.requests
      .flatMap(({ body }) => (JSON.parse(body) as Notification).alerts)
      .filter(({ labels }) => labels['container'] === name && labels['rule'] === 'no-limits')
      .map(({ status }) => status)
  await until(() => notified().includes('firing'))
  await docker('rm', '--force', name)
  await until(() => notified().includes('resolved'))
  t.deepEqual(notified(), ['firing', 'resolved'])

  const receiver = `alertmanager/${new URL(alertmanager.url).host}`
  const skew = await daemon.metric(`tidewatch_receiver_clock_skew_seconds{receiver="${receiver}"}`)
  t.true(Math.abs(Number(skew) - 360) < 5, `${skew} s`)
  t.is(daemon.output().split('this host’s clock is').length - 1, 1)
})
