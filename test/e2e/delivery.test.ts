import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { type Alertmanager, startAlertmanager } from '../support/alertmanager.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { removeState, startDaemon } from '../support/daemon.ts'
import { docker, freePort } from '../support/processes.ts'
import { startHttpReceiver } from '../support/receiver.ts'
import { until } from '../support/until.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

type Notification = { alerts: { status: string; labels: Record<string, string>; startsAt: string }[] }

/** A cluster of two Alertmanagers, and the receiver they notify. */
async function startPair(t: ExecutionContext) {
  const receiver = await startHttpReceiver(t)
  const directories = [await temporaryDirectory(), await temporaryDirectory()]
  const ports = [await freePort(), await freePort()]
  const clusterAddresses = [await freePort(), await freePort()].map((port) => `127.0.0.1:${port}`)
  const running: (Alertmanager | undefined)[] = []
  const startOne = async (n: 0 | 1) => {
    running[n] = await startAlertmanager({
      port: Number(ports[n]),
      directory: String(directories[n]),
      webhook: `${receiver.url}/`,
      cluster: { listen: String(clusterAddresses[n]), peer: String(clusterAddresses[1 - n]) },
    })
    return running[n]
  }
  const first = await startOne(0)
  const second = await startOne(1)
  t.teardown(async () => {
    for (const one of running) await one?.stop()
    for (const directory of directories) await rm(directory, { recursive: true, force: true })
  })
  /** One line per notification of an alert: `firing RULE FINGERPRINT`. */
  const notified = (container: string) =>
    receiver.requests
      .flatMap(({ body }) => (JSON.parse(body) as Notification).alerts)
      .filter(({ labels }) => labels['container'] === container)
      .map(({ status, labels }) => `${status} ${labels['rule']} ${labels['fingerprint']}`)
  return {
    urls: [first.url, second.url],
    startOne,
    stop: async (n: 0 | 1, signal?: NodeJS.Signals) => await running[n]?.stop(signal),
    notified,
  }
}

const programs = [
  'true',
  'false',
  'id',
  'date',
  'pwd',
  'env',
  'uname',
  'hostname',
  'whoami',
  'arch',
  'nproc',
  'uptime',
]

test('each finding is notified once despite failing Alertmanagers, and a condition is resolved', async (t) => {
  const pair = await startPair(t)
  const hanging = await startHttpReceiver(t)
  hanging.replyWith(() => undefined)
  const refusing = await startHttpReceiver(t)
  refusing.replyWith((response) => response.writeHead(422).end())
  const webhook = await startHttpReceiver(t)
  const min_severity = 'info'
  const daemon = await startDaemon({
    config: {
      alertmanagers: [
        ...pair.urls.map((url) => ({ url, min_severity })),
        { url: hanging.url, min_severity, timeout: '1s' },
        { url: refusing.url, min_severity },
      ],
      webhooks: [{ url: webhook.url, min_severity, format: 'falco' }],
    },
  })
  const container = `tidewatch-test-delivery-${randomBytes(5).toString('hex')}`
  t.teardown(async () => {
    await docker('rm', '--force', container).catch(() => undefined)
    await daemon.stop()
    await removeState(daemon)
  })
  const image = await busyboxImage()
  await docker('run', '--detach', '--network=none', '--name', container, image, 'sleep', '600')
  const exec = async (...names: string[]) => {
    for (const name of names) await docker('exec', container, name).catch(() => undefined)
  }

  await exec(...programs.slice(0, 3))
  await pair.stop(0, 'SIGKILL')
  await exec(...programs.slice(3, 6))
  await pair.stop(1)
  await exec(...programs.slice(6, 9))
  await sleep(2_000)
  await pair.startOne(0)
  await pair.startOne(1)
  await exec(...programs.slice(9))

  const executed = () => daemon.findings({ container, detector: 'exec-into-container' })
  await until(() => executed().length === programs.length)
  const expected = executed().map(({ rule, fingerprint }) => `firing ${rule} ${fingerprint}`)
  const execs = () => pair.notified(container).filter((line) => line.includes(' exec-'))
  await until(() => expected.every((line) => execs().includes(line)), 150_000)
  t.deepEqual(execs().toSorted(), expected.toSorted())

  await until(() => pair.notified(container).some((line) => line.startsWith('firing no-limits')), 120_000)
  await docker('rm', '--force', container)
  await until(() => pair.notified(container).some((line) => line.startsWith('resolved no-limits')), 120_000)
  t.is(pair.notified(container).filter((line) => line.includes('no-limits')).length, 2)

  const outcome = async (receiver: string, name: string) =>
    await daemon.metric(`tidewatch_notifications_total{receiver="${receiver}",outcome="${name}"}`)
  const nameOf = (url: string) => `alertmanager/${new URL(url).host}`
  t.true(((await outcome(nameOf(refusing.url), 'rejected')) ?? 0) >= programs.length)
  t.true(((await outcome(nameOf(hanging.url), 'failed')) ?? 0) >= 1)
  t.is(await outcome(nameOf(hanging.url), 'delivered'), 0)
  const output = webhook.requests.map(
    ({ body }) =>
      JSON.parse(body) as {
        uuid: string
        rule: string
        output_fields: Record<string, string>
        tags: string[]
      },
  )
  const ofContainer = output.filter(({ output_fields }) => output_fields['container.name'] === container)
  // A command that could not be started is corrected, with the same ID.
  const commands = ofContainer.filter(({ rule }) => rule === 'exec-command').map(({ uuid }) => uuid)
  t.is(new Set(commands).size, programs.length)
  t.true(ofContainer.some(({ rule, tags }) => rule === 'no-limits' && tags.includes('resolved')))
})
